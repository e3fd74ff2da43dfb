// Accesses: which bytes of SRAM an instruction touches.
#pragma once

#include <cstdint>
#include <vector>

#include "instructions.h"

namespace furiosa {

// The address behind the last byte of what lies at `address`.
template <int Rank>
int64_t end_of(const int32_t (&shape)[Rank], const int32_t (&strides)[Rank], int64_t address) {
  for (int axis = 0; axis < Rank; ++axis) address += int64_t(shape[axis] - 1) * strides[axis];
  return address + 1;
}

inline int64_t end_of(const View& view) { return end_of(view.shape, view.strides, view.address); }

// Bytes of the constants of a convolution.
int64_t weight_bytes(const Conv2d& inst);
int64_t weight_bytes(const DepthwiseConv2d& inst);
int64_t multiplier_bytes(const Conv2d& inst);
int64_t multiplier_bytes(const DepthwiseConv2d& inst);

// Bytes of SRAM from *address on, which is a field of the instruction.
struct Access {
  enum Kind { kRead, kConstant, kWrite };  // constants are operands that a kernel may pack, or take from elsewhere

  Kind kind;
  int32_t* address;
  int64_t size;
  bool dense;      // as many elements as bytes
  int64_t middle;  // where the second half of the rows of all images begins, from *address on

  int64_t begin() const { return *address; }
  int64_t end() const { return *address + size; }
};

// What an instruction reads, then what it writes.
std::vector<Access> accesses(Instruction& inst);

}  // namespace furiosa
