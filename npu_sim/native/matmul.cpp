// MatMul: products of two computed tensors. The second is turned into rows of int16, some columns at a time, so that
// every output is one dot product of values that lie together.
#include <algorithm>

#include "steps.h"

namespace furiosa {
namespace {

constexpr int64_t kColumns = 32;  // of the second operand that are turned at a time

// Columns [first, first + count) of b as rows of `depth` integers.
void turn(const MatMul& inst, const uint8_t* b, int64_t first, int64_t count, int64_t depth, int16_t* rows) {
  const Reading reading = Reading::centred(inst.b_type, inst.b_zero);
  const int64_t down = inst.b.strides[2], across = inst.b.strides[3];
  for (int64_t c = 0; c < count; ++c) {
    const uint8_t* from = b + (first + c) * across;
    int16_t* row = rows + c * depth;
    for (int64_t k = 0; k < depth; ++k) row[k] = int16_t(int32_t(from[k * down] ^ reading.mask) - reading.offset);
  }
}

}  // namespace

Step prepare(const MatMul& inst, Setup& setup) {
  const Kernels& kernels = setup.kernels;
  const int64_t depth = inst.a.shape[3], blocks = (inst.y.shape[3] + kColumns - 1) / kColumns;
  const auto all = [inst, depth, blocks, &kernels](const Run& run, int64_t begin, int64_t end, uint8_t* scratch) {
    const View &a = inst.a, &b = inst.b, &y = inst.y;
    const Requantize requantize{float(inst.lo - inst.y_zero), float(inst.hi - inst.y_zero), inst.y_zero};
    int32_t* sums = reinterpret_cast<int32_t*>(scratch);
    int16_t* row = reinterpret_cast<int16_t*>(sums + kColumns);
    int16_t* columns = row + depth;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % blocks * kColumns, h = task / blocks % y.shape[1], n = task / blocks / y.shape[1];
      const int64_t count = std::min(kColumns, y.shape[3] - first);
      turn(inst, run.sram + b.address + n * b.strides[0] + h * b.strides[1], first, count, depth, columns);
      const uint8_t* from = run.sram + a.address + n * a.strides[0] + h * a.strides[1];
      uint8_t* to = run.sram + y.address + n * y.strides[0] + h * y.strides[1] + first;
      for (int64_t w = 0; w < y.shape[2]; ++w) {
        kernels.widen(from + w * a.strides[2], row, depth, inst.a_type, inst.a_zero);
        kernels.dots(row, columns, sums, count, depth);
        kernels.scale(sums, to + w * y.strides[2], count, inst.multiplier, requantize);
      }
    }
  };
  const int64_t tasks = int64_t(inst.y.shape[0]) * inst.y.shape[1] * blocks;
  return Task{tasks, tasks * kColumns * inst.y.shape[2] * depth, all, 2 * depth * (kColumns + 1) + 4 * kColumns};
}

}  // namespace furiosa
