// ReduceL2 and L2Normalize over the channels: norm = float(sqrt(sum(x * x)) * x_scale), the sum an exact int64, root
// and product in double; y = quantize(norm), or quantize(dequantize(x) / norm), and 0 where the norm is.
#include <cmath>

#include "lines.h"
#include "steps.h"

namespace furiosa {
namespace {

float norm(const Norm& inst, const uint8_t* x) {
  const Reading reading = Reading::centred(inst.x_type, inst.x_zero);
  int64_t sum = 0;
  for (int64_t c = 0; c < inst.x.shape[3]; ++c) {
    const int64_t v = int32_t(x[c * inst.x.strides[3]] ^ reading.mask) - reading.offset;
    sum += v * v;
  }
  return float(std::sqrt(double(sum)) * double(inst.x_scale));
}

Requantize bounds(const Norm& inst) {
  const int32_t lowest = inst.y_type ? -128 : 0;
  return {float(lowest - inst.y_zero), float(lowest + 255 - inst.y_zero), inst.y_zero};
}

void divide(const Norm& inst, const Kernels& kernels, const uint8_t* x, uint8_t* y, float divisor) {
  const int64_t x_step = inst.x.strides[3], y_step = inst.y.strides[3];
  uint8_t from[kLine], to[kLine];
  float real[kLine];
  for (int64_t c = 0; c < inst.x.shape[3]; c += kLine) {
    const int64_t n = kLine < inst.x.shape[3] - c ? kLine : inst.x.shape[3] - c;
    kernels.dequantize(gather(x + c * x_step, x_step, n, from), real, n, inst.x_scale, inst.x_zero, inst.x_type);
    for (int64_t i = 0; i < n; ++i) real[i] = divisor != 0.0f ? real[i] / divisor : 0.0f;
    kernels.quantize(real, target(y + c * y_step, y_step, to), n, inst.y_scale, bounds(inst));
    scatter(y + c * y_step, y_step, n, to);
  }
}

// A step that calls pixel(x, y) for each pixel.
template <class Inst, class Pixel>
Step each_pixel(const Inst& inst, Setup& setup, Pixel pixel) {
  setup.reads(inst.x);
  setup.writes(inst.y);
  return [inst, pixel](Run& run) {
    const View &x = inst.x, &y = inst.y;
    const int64_t pixels = int64_t(x.shape[0]) * x.shape[1] * x.shape[2];
    run.team.loop(pixels, 4 * pixels * x.shape[3], [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t w = i % x.shape[2], h = i / x.shape[2] % x.shape[1], n = i / x.shape[2] / x.shape[1];
        pixel(run.sram + x.address + n * x.strides[0] + h * x.strides[1] + w * x.strides[2],
              run.sram + y.address + n * y.strides[0] + h * y.strides[1] + w * y.strides[2]);
      }
    });
  };
}

}  // namespace

Step prepare(const ReduceL2& inst, Setup& setup) {
  const Kernels& kernels = setup.kernels;
  return each_pixel(inst, setup, [inst, &kernels](const uint8_t* x, uint8_t* y) {
    const float value = norm(inst, x);
    kernels.quantize(&value, y, 1, inst.y_scale, bounds(inst));
  });
}

Step prepare(const L2Normalize& inst, Setup& setup) {
  const Kernels& kernels = setup.kernels;
  return each_pixel(inst, setup,
                    [inst, &kernels](const uint8_t* x, uint8_t* y) { divide(inst, kernels, x, y, norm(inst, x)); });
}

}  // namespace furiosa
