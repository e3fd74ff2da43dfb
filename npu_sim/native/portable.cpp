// Kernels in plain C++, for any processor.
#include "loops.h"

namespace furiosa {
namespace {

constexpr int kBlock = 16;  // channels of a depthwise convolution that are summed together

// One channel of up to four pixels, as dot products of int16.
template <int Pixels>
void tile(const ConvPixels& t, int first) {
  int32_t sum[4] = {t.bias[0], t.bias[0], t.bias[0], t.bias[0]};
  const int16_t* w = reinterpret_cast<const int16_t*>(t.weights);
  for (int segment = 0; segment < t.segments; ++segment, w += t.steps) {
    const int16_t* x[Pixels];
    for (int p = 0; p < Pixels; ++p) x[p] = reinterpret_cast<const int16_t*>(t.x[first + p] + (t.x_offset + t.offsets[segment]));
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int k = 0; k < t.steps; ++k) {
      s0 += x[0][k] * w[k];
      if (Pixels > 1) s1 += x[1 % Pixels][k] * w[k];
      if (Pixels > 2) s2 += x[2 % Pixels][k] * w[k];
      if (Pixels > 3) s3 += x[3 % Pixels][k] * w[k];
    }
    sum[0] += s0, sum[1] += s1, sum[2] += s2, sum[3] += s3;
  }
  for (int p = 0; p < Pixels; ++p) t.y[first + p][t.y_offset] = requantize(float(sum[p]) * t.multipliers[0], t.requantize);
}

void conv_pixels(const ConvPixels& t) {
  constexpr void (*tiles[])(const ConvPixels&, int) = {tile<1>, tile<2>, tile<3>, tile<4>};
  each_tile(t.pixels, 4, [&](int first, int size) { tiles[size - 1](t, first); });
}

// One block of channels of one pixel.
void depthwise_block(const DepthwiseRow& row, int pixel, int channel) {
  int32_t sum[kBlock];
  for (int c = 0; c < kBlock; ++c) sum[c] = row.bias[channel + c];
  const int8_t* w = row.weights + int64_t(channel) * row.kernel[0] * row.kernel[1];
  for (int r = 0; r < row.kernel[0]; ++r) {
    const uint8_t* from = row.x + pixel * row.x_step + r * row.row_step + 2 * channel;
    for (int column = 0; column < row.kernel[1]; ++column, from += row.column_step, w += kBlock) {
      const int16_t* x = reinterpret_cast<const int16_t*>(from);
      for (int c = 0; c < kBlock; ++c) sum[c] += x[c] * int16_t(w[c]);
    }
  }
  uint8_t* y = row.y + pixel * row.y_step + channel;
  const int n = row.channels - channel < kBlock ? row.channels - channel : kBlock;
  for (int c = 0; c < n; ++c) y[c] = requantize(float(sum[c]) * row.multipliers[channel + c], row.requantize);
}

void depthwise_row(const DepthwiseRow& row) {
  for (int channel = 0; channel < row.channels; channel += kBlock) {
    for (int pixel = 0; pixel < row.pixels; ++pixel) depthwise_block(row, pixel, channel);
  }
}

constexpr Kernels kKernels = make("portable", {1, 1, true, 0}, {kBlock, 1, true, 0}, conv_pixels, depthwise_row);

}  // namespace

const Kernels& portable_kernels() { return kKernels; }

}  // namespace furiosa
