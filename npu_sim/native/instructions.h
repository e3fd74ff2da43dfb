// The instruction set as structs. Written by generate.py from furiosa.isa.instructions: do not edit.
#pragma once

#include <cstdint>
#include <variant>

namespace furiosa {

#pragma pack(push, 4)

struct View {
  int32_t address;
  int32_t shape[4];
  int32_t strides[4];
};

struct Load {
  static constexpr int32_t opcode = 0x01;
  View dst;
  int64_t src;
  int32_t src_strides[4];
};
static_assert(sizeof(Load) == 60);

struct Store {
  static constexpr int32_t opcode = 0x02;
  View src;
  int64_t dst;
  int32_t dst_strides[4];
};
static_assert(sizeof(Store) == 60);

struct Convolution {
  View x;
  View y;
  int32_t weights;
  int32_t bias;
  int32_t multipliers;
  int32_t kernel[2];
  int32_t strides[2];
  int32_t dilations[2];
  int32_t pads[2];
  int32_t groups;
  int32_t x_type;
  int32_t y_type;
  int32_t x_zero;
  int32_t y_zero;
  int32_t lo;
  int32_t hi;
  int32_t w_zero;
};

struct Conv2d : Convolution {
  static constexpr int32_t opcode = 0x10;
  int32_t rounding;
};
static_assert(sizeof(Conv2d) == 152);

struct DepthwiseConv2d : Convolution {
  static constexpr int32_t opcode = 0x11;
};
static_assert(sizeof(DepthwiseConv2d) == 148);

struct MatMul {
  static constexpr int32_t opcode = 0x12;
  View a;
  View b;
  View y;
  int32_t a_type;
  int32_t b_type;
  int32_t y_type;
  int32_t a_zero;
  int32_t b_zero;
  int32_t y_zero;
  float multiplier;
  int32_t lo;
  int32_t hi;
};
static_assert(sizeof(MatMul) == 144);

struct MaxPool2d {
  static constexpr int32_t opcode = 0x18;
  View x;
  View y;
  int32_t kernel[2];
  int32_t strides[2];
  int32_t dilations[2];
  int32_t pads[2];
  int32_t type;
};
static_assert(sizeof(MaxPool2d) == 108);

struct AveragePool2d {
  static constexpr int32_t opcode = 0x19;
  View x;
  View y;
  int32_t kernel[2];
  int32_t strides[2];
  int32_t dilations[2];
  int32_t pads[2];
  int32_t counted[4];
  int32_t x_type;
  int32_t y_type;
  float x_scale;
  int32_t x_zero;
  float y_scale;
  int32_t y_zero;
  int32_t framework;
};
static_assert(sizeof(AveragePool2d) == 148);

struct GlobalAveragePool {
  static constexpr int32_t opcode = 0x1a;
  View x;
  View y;
  int32_t x_type;
  int32_t y_type;
  float x_scale;
  int32_t x_zero;
  float y_scale;
  int32_t y_zero;
  int32_t divisor;
  int32_t summation;
  int32_t rows[2];
};
static_assert(sizeof(GlobalAveragePool) == 112);

struct AddAveragePool2d {
  static constexpr int32_t opcode = 0x1b;
  View a;
  View b;
  View y;
  int32_t kernel[2];
  int32_t strides[2];
  int32_t dilations[2];
  int32_t pads[2];
  int32_t counted[4];
  int32_t a_type;
  int32_t b_type;
  int32_t y_type;
  float a_scale;
  int32_t a_zero;
  float b_scale;
  int32_t b_zero;
  float y_scale;
  int32_t y_zero;
  float floor;
};
static_assert(sizeof(AddAveragePool2d) == 196);

struct Interpolate {
  static constexpr int32_t opcode = 0x1c;
  View x;
  View y;
  int32_t extents[2];
  int32_t x_start[2];
  int32_t y_start[2];
  float row_lead;
  float row_factor;
  float row_divisor;
  float row_offset;
  float column_lead;
  float column_factor;
  float column_divisor;
  float column_offset;
  int32_t x_type;
  int32_t y_type;
  float x_scale;
  int32_t x_zero;
  float y_scale;
  int32_t y_zero;
  int32_t framework;
};
static_assert(sizeof(Interpolate) == 156);

struct Binary {
  View a;
  View b;
  View y;
  int32_t a_type;
  int32_t b_type;
  int32_t y_type;
  float a_scale;
  int32_t a_zero;
  float b_scale;
  int32_t b_zero;
  float y_scale;
  int32_t y_zero;
  int32_t form;
  int32_t lo;
  int32_t hi;
};

struct Add : Binary {
  static constexpr int32_t opcode = 0x20;
};
static_assert(sizeof(Add) == 156);

struct Sub : Binary {
  static constexpr int32_t opcode = 0x21;
};
static_assert(sizeof(Sub) == 156);

struct Mul : Binary {
  static constexpr int32_t opcode = 0x22;
};
static_assert(sizeof(Mul) == 156);

struct Sum {
  static constexpr int32_t opcode = 0x23;
  View x;
  View y;
  int32_t count;
  int32_t scales;
  int32_t zeros;
  int32_t x_type;
  int32_t y_type;
  float y_scale;
  int32_t y_zero;
  float factor;
  int32_t lo;
  int32_t hi;
};
static_assert(sizeof(Sum) == 112);

struct Table {
  static constexpr int32_t opcode = 0x28;
  View x;
  View y;
  int32_t table;
  int32_t tables;
};
static_assert(sizeof(Table) == 80);

struct Softmax {
  static constexpr int32_t opcode = 0x29;
  View x;
  View y;
  int32_t x_type;
  int32_t y_type;
  float x_scale;
  int32_t x_zero;
  float y_scale;
  int32_t y_zero;
  int32_t framework;
};
static_assert(sizeof(Softmax) == 100);

struct Norm {
  View x;
  View y;
  int32_t x_type;
  int32_t y_type;
  float x_scale;
  int32_t x_zero;
  float y_scale;
  int32_t y_zero;
};

struct ReduceL2 : Norm {
  static constexpr int32_t opcode = 0x2a;
};
static_assert(sizeof(ReduceL2) == 96);

struct L2Normalize : Norm {
  static constexpr int32_t opcode = 0x2b;
};
static_assert(sizeof(L2Normalize) == 96);

struct Copy {
  static constexpr int32_t opcode = 0x30;
  int32_t dst;
  int32_t dst_strides[6];
  int32_t src;
  int32_t src_strides[6];
  int32_t shape[6];
  int32_t kind;
};
static_assert(sizeof(Copy) == 84);

struct Fill {
  static constexpr int32_t opcode = 0x31;
  View y;
  int32_t value;
};
static_assert(sizeof(Fill) == 40);

#pragma pack(pop)

using Instruction =
    std::variant<Load, Store, Conv2d, DepthwiseConv2d, MatMul, MaxPool2d, AveragePool2d, GlobalAveragePool,
                 AddAveragePool2d, Interpolate, Add, Sub, Mul, Sum, Table, Softmax, ReduceL2, L2Normalize, Copy, Fill>;

}  // namespace furiosa
