// ReduceL2 and L2Normalize over the channels: norm = sqrt(sum(r * r)) of r = dequantize(x), in float32 and from the
// first channel to the last; y = quantize(norm), or quantize(r / norm), and 0 where the norm is.
#include <algorithm>
#include <array>
#include <cmath>

#include "lines.h"
#include "steps.h"

namespace furiosa {
namespace {

constexpr int kPixels = 8;  // are summed side by side: one sum would wait for each of its additions
using Squares = std::array<float, 256>;

// r * r for each stored byte.
Squares squares(const Norm& inst, const Kernels& kernels) {
  uint8_t bytes[256];
  for (int i = 0; i < 256; ++i) bytes[i] = uint8_t(i);
  Squares found;
  kernels.dequantize(bytes, found.data(), 256, inst.x_scale, inst.x_zero, inst.x_type);
  for (float& value : found) value *= value;
  return found;
}

void norms(const Norm& inst, const Squares& squares, const uint8_t* const* x, float* norm) {
  const int64_t step = inst.x.strides[3], channels = inst.x.shape[3];
  float sum[kPixels] = {};
  for (int64_t c = 0; c < channels; ++c) {
    for (int p = 0; p < kPixels; ++p) sum[p] += squares[x[p][c * step]];
  }
  for (int p = 0; p < kPixels; ++p) norm[p] = std::sqrt(sum[p]);
}

void divide(const Norm& inst, const Kernels& kernels, const uint8_t* x, uint8_t* y, float divisor) {
  const int64_t x_step = inst.x.strides[3], y_step = inst.y.strides[3];
  uint8_t from[kLine], to[kLine];
  float real[kLine];
  for (int64_t c = 0; c < inst.x.shape[3]; c += kLine) {
    const int64_t n = kLine < inst.x.shape[3] - c ? kLine : inst.x.shape[3] - c;
    kernels.dequantize(gather(x + c * x_step, x_step, n, from), real, n, inst.x_scale, inst.x_zero, inst.x_type);
    for (int64_t i = 0; i < n; ++i) real[i] = divisor != 0.0f ? real[i] / divisor : 0.0f;
    kernels.quantize(real, target(y + c * y_step, y_step, to), n, inst.y_scale, whole_range(inst.y_type, inst.y_zero));
    scatter(y + c * y_step, y_step, n, to);
  }
}

uint8_t* pixel_of(const View& view, uint8_t* sram, int64_t i) {
  const int64_t w = i % view.shape[2], h = i / view.shape[2] % view.shape[1], n = i / view.shape[2] / view.shape[1];
  return sram + view.address + n * view.strides[0] + h * view.strides[1] + w * view.strides[2];
}

// A step that calls pixel(x, y, norm) for each pixel.
template <class Inst, class Pixel>
Step each_pixel(const Inst& inst, Setup& setup, Pixel pixel) {
  const auto all = [inst, pixel, table = squares(inst, setup.kernels)](const Run& run, int64_t begin, int64_t end,
                                                                       uint8_t*) {
    for (int64_t first = begin; first < end; first += kPixels) {
      const uint8_t* x[kPixels];
      float norm[kPixels];
      for (int64_t p = 0; p < kPixels; ++p) x[p] = pixel_of(inst.x, run.sram, std::min(first + p, end - 1));
      norms(inst, table, x, norm);
      const int64_t count = std::min(int64_t(kPixels), end - first);
      for (int64_t p = 0; p < count; ++p) pixel(x[p], pixel_of(inst.y, run.sram, first + p), norm[p]);
    }
  };
  const int64_t pixels = int64_t(inst.x.shape[0]) * inst.x.shape[1] * inst.x.shape[2];
  return Task{pixels, 4 * pixels * inst.x.shape[3], all};
}

}  // namespace

Step prepare(const ReduceL2& inst, Setup& setup) {
  const Kernels& kernels = setup.kernels;
  return each_pixel(inst, setup, [inst, &kernels](const uint8_t*, uint8_t* y, float norm) {
    kernels.quantize(&norm, y, 1, inst.y_scale, whole_range(inst.y_type, inst.y_zero));
  });
}

Step prepare(const L2Normalize& inst, Setup& setup) {
  const Kernels& kernels = setup.kernels;
  return each_pixel(inst, setup,
                    [inst, &kernels](const uint8_t* x, uint8_t* y, float norm) { divide(inst, kernels, x, y, norm); });
}

}  // namespace furiosa
