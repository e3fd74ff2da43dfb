// Steps that move bytes: Load, Store, Copy, Fill.
#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "steps.h"
#include "strided.h"

namespace furiosa {
namespace {

// Elements `begin` to `end`.
void move(const Strided<2>& box, uint8_t* dst, const uint8_t* src, int64_t begin, int64_t end) {
  const int64_t dst_step = box.inner(0), src_step = box.inner(1);
  box.runs(begin, end, [&](const auto& at, int64_t length) {
    uint8_t* to = dst + at[0];
    const uint8_t* from = src + at[1];
    if (dst_step == 1 && src_step == 1) {
      std::memcpy(to, from, size_t(length));
    } else {
      for (int64_t k = 0; k < length; ++k) to[k * dst_step] = from[k * src_step];
    }
  });
}

constexpr int64_t kTile = 64;  // columns that are transposed together: their lines stay in the first-level cache

// Whether the two innermost axes are a transposition of bytes: operand `k` is contiguous along the inner one, the other
// operand along the outer one.
bool transposes(const Strided<2>& box, int k) { return box.inner(k) == 1 && box.outer().inner(1 - k) == 1; }

// The same moves in squares, rows `begin` to `end`: `rows` of the source become columns of the destination.
void transpose(const Strided<2>& box, uint8_t* dst, const uint8_t* src, int64_t begin, int64_t end,
               const Kernels& kernels) {
  const Strided<2> outer = box.outer();
  const bool to_rows = transposes(box, 0);
  const int64_t tile = to_rows && box.length() <= 4 ? outer.size() : kTile;
  outer.runs(begin, end, [&](const auto& at, int64_t length) {
    uint8_t* to = dst + at[0];
    const uint8_t* from = src + at[1];
    for (int64_t k = 0; k < length; k += tile, to += tile * outer.inner(0), from += tile * outer.inner(1)) {
      const int64_t n = std::min(tile, length - k);
      if (to_rows) kernels.transpose(from, box.inner(1), to, outer.inner(0), box.length(), n);
      else kernels.transpose(from, outer.inner(1), to, box.inner(0), n, box.length());
    }
  });
}

}  // namespace

Step prepare(const Load& inst, Setup& setup) {
  const int64_t end = end_of(inst.dst.shape, inst.src_strides, inst.src);
  const bool constant = inst.src < setup.constants.size();
  if (constant && end > setup.constants.size()) throw std::invalid_argument("a load crosses the end of the constants");
  if (!constant) setup.dram.push_back({inst.src, end, false});
  const Strided<2> box(inst.dst.shape, {inst.dst.strides, inst.src_strides});
  return Task{box.size(), box.size(), [inst, constant, box](const Run& run, int64_t begin, int64_t end, uint8_t*) {
                const uint8_t* src = constant ? run.constants + inst.src : run.dram_at(inst.src);
                move(box, run.sram + inst.dst.address, src, begin, end);
              }};
}

Step prepare(const Store& inst, Setup& setup) {
  if (inst.dst < setup.constants.size()) throw std::invalid_argument("a store writes to the constants");
  setup.dram.push_back({inst.dst, end_of(inst.src.shape, inst.dst_strides, inst.dst), true});
  const Strided<2> box(inst.src.shape, {inst.dst_strides, inst.src.strides});
  return Task{box.size(), box.size(), [inst, box](const Run& run, int64_t begin, int64_t end, uint8_t*) {
                move(box, run.dram_at(inst.dst), run.sram + inst.src.address, begin, end);
              }};
}

Step prepare(const Copy& inst, Setup& setup) {
  const Strided<2> box(inst.shape, {inst.dst_strides, inst.src_strides});
  if (transposes(box, 0) != transposes(box, 1)) {
    return Task{box.outer().size(), box.size(),
                [inst, box, &kernels = setup.kernels](const Run& run, int64_t begin, int64_t end, uint8_t*) {
                  transpose(box, run.sram + inst.dst, run.sram + inst.src, begin, end, kernels);
                }};
  }
  return Task{box.size(), box.size(), [inst, box](const Run& run, int64_t begin, int64_t end, uint8_t*) {
                move(box, run.sram + inst.dst, run.sram + inst.src, begin, end);
              }};
}

Step prepare(const Fill& inst, Setup&) {
  const Strided<1> box(inst.y.shape, {inst.y.strides});
  return Task{box.size(), box.size(), [inst, box](const Run& run, int64_t begin, int64_t end, uint8_t*) {
                const int64_t step = box.inner(0);
                box.runs(begin, end, [&](const auto& at, int64_t length) {
                  uint8_t* y = run.sram + inst.y.address + at[0];
                  if (step == 1) {
                    std::memset(y, inst.value, size_t(length));
                  } else {
                    for (int64_t k = 0; k < length; ++k) y[k * step] = uint8_t(inst.value);
                  }
                });
              }};
}

}  // namespace furiosa
