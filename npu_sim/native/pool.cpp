// MaxPool2d.
#include <algorithm>
#include <cstring>

#include "lines.h"
#include "steps.h"
#include "windows.h"

namespace furiosa {
namespace {

// Channels [begin, begin + n) of one output, n at most kLine; `x` and `y` are the image and the pixel.
void max_window(const MaxPool2d& inst, const Kernels& kernels, const uint8_t* x, uint8_t* y, int64_t n, int top,
                int left) {
  const Taps rows(top, inst.kernel[0], inst.dilations[0], 0, inst.x.shape[1]);
  const Taps columns(left, inst.kernel[1], inst.dilations[1], 0, inst.x.shape[2]);
  uint8_t from[kLine], to[kLine];
  uint8_t* line = target(y, inst.y.strides[3], to);
  bool first = true;
  for (int r = rows.first; r < rows.end; ++r) {
    for (int c = columns.first; c < columns.end; ++c, first = false) {
      const int64_t at = int64_t(top + r * inst.dilations[0]) * inst.x.strides[1] +
                         int64_t(left + c * inst.dilations[1]) * inst.x.strides[2];
      const uint8_t* values = gather(x + at, inst.x.strides[3], n, from);
      if (first) std::memcpy(line, values, size_t(n));
      else kernels.max(values, line, n, inst.type != 0);
    }
  }
  scatter(y, inst.y.strides[3], n, line);
}

}  // namespace

Step prepare(const MaxPool2d& inst, Setup& setup) {
  setup.reads(inst.x);
  setup.writes(inst.y);
  const Kernels& kernels = setup.kernels;
  return [inst, &kernels](Run& run) {
    const View &x = inst.x, &y = inst.y;
    const int64_t rows = int64_t(y.shape[0]) * y.shape[1], channels = y.shape[3];
    const int64_t work = rows * y.shape[2] * channels * inst.kernel[0] * inst.kernel[1];
    run.team.loop(rows, work, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t n = row / y.shape[1], p = row % y.shape[1];
        const int top = int(p) * inst.strides[0] - inst.pads[0];
        for (int64_t q = 0; q < y.shape[2]; ++q) {
          const int left = int(q) * inst.strides[1] - inst.pads[1];
          uint8_t* to = run.sram + y.address + n * y.strides[0] + p * y.strides[1] + q * y.strides[2];
          const uint8_t* from = run.sram + x.address + n * x.strides[0];
          for (int64_t c = 0; c < channels; c += kLine) {
            max_window(inst, kernels, from + c * x.strides[3], to + c * y.strides[3], std::min(kLine, channels - c),
                       top, left);
          }
        }
      }
    });
  };
}

}  // namespace furiosa
