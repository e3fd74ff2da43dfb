// AveragePool2d and AddAveragePool2d: y = requantize(sum / count / y_scale), the sum of real values in float32, row by
// row and from left to right. LiteRT's window mean is that of the stored integers, rounded half away from zero.
#include <algorithm>

#include "lines.h"
#include "steps.h"
#include "windows.h"

namespace furiosa {
namespace {

constexpr int32_t kTflite = 1;  // Framework.TFLITE

// How a mean becomes a stored value: the zero point is added before rounding, or after it as Quantize does.
struct Rounding {
  float zero;
  Requantize requantize;
};

Rounding rounding(const AveragePool2d& inst) {
  if (inst.x_type == inst.y_type) return {float(inst.y_zero), whole_range(inst.y_type, 0)};
  return {0.0f, whole_range(inst.y_type, inst.y_zero)};
}

Rounding rounding(const AddAveragePool2d& inst) { return {0.0f, whole_range(inst.y_type, inst.y_zero)}; }

// Some channels of an output pixel, at most kLine: those of image n whose window starts at a row and column.
struct Window {
  int64_t n;
  int top, left;
  int64_t channel, size;
  uint8_t* y;
};

// Of AveragePool2d or AddAveragePool2d; tap(row, column, sum) adds a pixel of the image.
template <class Inst, class Tap>
void average_window(const Inst& inst, const View& image, const Kernels& kernels, const Window& window, Tap&& tap) {
  const auto [n, top, left, channel, size, y] = window;
  const Taps rows(top, inst.kernel[0], inst.dilations[0], 0, image.shape[1]);
  const Taps columns(left, inst.kernel[1], inst.dilations[1], 0, image.shape[2]);
  const Taps counted_rows(top, inst.kernel[0], inst.dilations[0], inst.counted[0], inst.counted[2]);
  const Taps counted_columns(left, inst.kernel[1], inst.dilations[1], inst.counted[1], inst.counted[3]);
  const Rounding round = rounding(inst);
  const float count = float(int64_t(counted_rows.count()) * counted_columns.count());
  float sum[kLine];
  uint8_t line[kLine];
  std::fill(sum, sum + size, 0.0f);
  for (int r = rows.first; r < rows.end; ++r) {
    for (int c = columns.first; c < columns.end; ++c)
      tap(top + r * inst.dilations[0], left + c * inst.dilations[1], sum);
  }
  const int64_t y_step = inst.y.strides[3];
  kernels.mean(sum, target(y, y_step, line), size, count, inst.y_scale, round.zero, round.requantize);
  scatter(y, y_step, size, line);
}

const uint8_t* pixel(const Run& run, const View& view, int64_t n, int64_t h, int64_t w, int64_t c) {
  const int32_t (&strides)[4] = view.strides;
  return run.sram + view.address + n * strides[0] + h * strides[1] + w * strides[2] + c * strides[3];
}

// Of AveragePool2d in LiteRT's form.
void lite_average_window(const AveragePool2d& inst, const Run& run, const Kernels& kernels, const Window& window) {
  const auto [n, top, left, channel, size, y] = window;
  const View& x = inst.x;
  const Taps rows(top, inst.kernel[0], 1, 0, x.shape[1]), columns(left, inst.kernel[1], 1, 0, x.shape[2]);
  const Taps counted_rows(top, inst.kernel[0], 1, inst.counted[0], inst.counted[2]);
  const Taps counted_columns(left, inst.kernel[1], 1, inst.counted[1], inst.counted[3]);
  const int32_t count = counted_rows.count() * counted_columns.count();
  const Reading reading = Reading::centred(inst.x_type, 0);
  int32_t sum[kLine] = {};
  uint8_t line[kLine];
  for (int r = rows.first; r < rows.end; ++r) {
    for (int c = columns.first; c < columns.end; ++c) {
      kernels.add_up(gather(pixel(run, x, n, top + r, left + c, channel), x.strides[3], size, line), sum, size,
                     reading);
    }
  }
  for (int64_t i = 0; i < size; ++i) {
    const int32_t half = sum[i] < 0 ? -(count / 2) : count / 2;
    y[i * inst.y.strides[3]] = uint8_t((sum[i] + half) / count);
  }
}

// The task that calls average(run, window) for all windows of all output pixels.
template <class Inst, class Average>
Task each_window(const Inst& inst, Average average) {
  const int64_t lines = ceil_div(inst.y.shape[3], kLine), pixels = int64_t(inst.y.shape[1]) * inst.y.shape[2];
  const auto tasks = [inst, lines, average](const Run& run, int64_t begin, int64_t end, uint8_t*) {
    const View& y = inst.y;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task / lines, n = row / y.shape[1], p = row % y.shape[1], channel = task % lines * kLine;
      const int64_t size = std::min(kLine, y.shape[3] - channel);
      for (int q = 0; q < y.shape[2]; ++q) {
        uint8_t* out =
            run.sram + y.address + n * y.strides[0] + p * y.strides[1] + q * y.strides[2] + channel * y.strides[3];
        const int top = int(p) * inst.strides[0] - inst.pads[0], left = q * inst.strides[1] - inst.pads[1];
        average(run, Window{n, top, left, channel, size, out});
      }
    }
  };
  const int64_t work = inst.y.shape[0] * pixels * inst.y.shape[3] * inst.kernel[0] * inst.kernel[1];
  return {int64_t(inst.y.shape[0]) * inst.y.shape[1] * lines, work, tasks};
}

}  // namespace

Step prepare(const AveragePool2d& inst, Setup& setup) {
  const Kernels& kernels = setup.kernels;
  const Reading reading = Reading::centred(inst.x_type, inst.x_zero);
  return each_window(inst, [inst, reading, &kernels](const Run& run, const Window& window) {
    if (inst.framework == kTflite) return lite_average_window(inst, run, kernels, window);
    average_window(inst, inst.x, kernels, window, [&](int64_t h, int64_t w, float* sum) {
      uint8_t line[kLine];
      const uint8_t* x =
          gather(pixel(run, inst.x, window.n, h, w, window.channel), inst.x.strides[3], window.size, line);
      kernels.add_scaled(x, sum, window.size, reading, inst.x_scale);
    });
  });
}

Step prepare(const AddAveragePool2d& inst, Setup& setup) {
  const Kernels& kernels = setup.kernels;
  const Pair pair{Reading::centred(inst.a_type, inst.a_zero),
                  Reading::centred(inst.b_type, inst.b_zero),
                  inst.a_scale,
                  inst.b_scale,
                  inst.y_scale,
                  0.0f,
                  false,
                  {}};
  return each_window(inst, [inst, pair, &kernels](const Run& run, const Window& window) {
    average_window(inst, inst.a, kernels, window, [&](int64_t h, int64_t w, float* sum) {
      uint8_t a_line[kLine], b_line[kLine];
      const int64_t size = window.size;
      const uint8_t* a = gather(pixel(run, inst.a, window.n, h, w, window.channel), inst.a.strides[3], size, a_line);
      const uint8_t* b = gather(pixel(run, inst.b, window.n, h, w, window.channel), inst.b.strides[3], size, b_line);
      kernels.add_pairs(a, b, sum, size, pair, inst.floor);
    });
  });
}

}  // namespace furiosa
