// Table: a function of one byte, shared by all channels or one for each.
#include <algorithm>

#include "lines.h"
#include "steps.h"
#include "strided.h"

namespace furiosa {
namespace {

// Rows `begin` to `end` of all images.
void per_channel(const Table& inst, const uint8_t* tables, const Run& run, int64_t begin, int64_t end) {
  const View &x = inst.x, &y = inst.y;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t n = row / y.shape[1], h = row % y.shape[1];
    for (int64_t w = 0; w < y.shape[2]; ++w) {
      const uint8_t* from = run.sram + x.address + n * x.strides[0] + h * x.strides[1] + w * x.strides[2];
      uint8_t* to = run.sram + y.address + n * y.strides[0] + h * y.strides[1] + w * y.strides[2];
      for (int64_t c = 0; c < y.shape[3]; ++c) to[c * y.strides[3]] = tables[256 * c + from[c * x.strides[3]]];
    }
  }
}

}  // namespace

Step prepare(const Table& inst, Setup& setup) {
  const uint8_t* constant = setup.constants.find(inst.table, int64_t(256) * inst.tables);
  const Strided<2> box(inst.y.shape, {inst.y.strides, inst.x.strides});
  if (inst.tables != 1) {
    const int64_t rows = int64_t(inst.y.shape[0]) * inst.y.shape[1];
    return Task{rows, box.size(), [inst, constant](const Run& run, int64_t begin, int64_t end, uint8_t*) {
                  per_channel(inst, constant ? constant : run.sram + inst.table, run, begin, end);
                }};
  }
  return elementwise(inst.y, {inst.x}, 1,
                     [inst, constant, box, &kernels = setup.kernels](const Run& run, int64_t begin, int64_t end) {
                       const uint8_t* table = constant ? constant : run.sram + inst.table;
                       const int64_t y_step = box.inner(0), x_step = box.inner(1);
                       uint8_t from[kLine], to[kLine];
                       box.runs(begin, end, [&](const auto& at, int64_t length) {
                         for (int64_t i = 0; i < length; i += kLine) {
                           const int64_t n = std::min(kLine, length - i);
                           uint8_t* y = run.sram + inst.y.address + at[0] + i * y_step;
                           const uint8_t* x = gather(run.sram + inst.x.address + at[1] + i * x_step, x_step, n, from);
                           kernels.table(x, target(y, y_step, to), n, table);
                           scatter(y, y_step, n, to);
                         }
                       });
                     });
}

}  // namespace furiosa
