// Kernels in plain C++, for any processor.
#include "loops.h"

namespace furiosa {
namespace {

constexpr int kBlock = 16;  // channels of a depthwise convolution that are summed together

// One channel of up to four pixels, as dot products of int16. Those fit into int32; with the bias a sum may wrap
// around.
template <int Pixels>
void tile(const ConvPixels& t, int first) {
  const uint32_t bias = uint32_t(t.bias[0]);
  uint32_t sum[4] = {bias, bias, bias, bias};
  const int16_t* w = reinterpret_cast<const int16_t*>(t.weights);
  for (int segment = 0; segment < t.segments; ++segment, w += t.steps) {
    const int16_t* x[Pixels];
    for (int p = 0; p < Pixels; ++p)
      x[p] = reinterpret_cast<const int16_t*>(t.x[first + p] + (t.x_offset + t.offsets[segment]));
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int k = 0; k < t.steps; ++k) {
      s0 += x[0][k] * w[k];
      if (Pixels > 1) s1 += x[1 % Pixels][k] * w[k];
      if (Pixels > 2) s2 += x[2 % Pixels][k] * w[k];
      if (Pixels > 3) s3 += x[3 % Pixels][k] * w[k];
    }
    sum[0] += uint32_t(s0), sum[1] += uint32_t(s1), sum[2] += uint32_t(s2), sum[3] += uint32_t(s3);
  }
  for (int p = 0; p < Pixels; ++p) {
    const int32_t total = int32_t(sum[p]);
    const float v = t.fixed ? float(fixed_steps(total, t.fixed, 1)) : float(total) * t.multipliers[0];
    t.y[first + p][t.y_offset] = requantize(v, t.requantize);
  }
}

void conv_pixels(const ConvPixels& t) {
  constexpr void (*tiles[])(const ConvPixels&, int) = {tile<1>, tile<2>, tile<3>, tile<4>};
  each_tile(t.runs, 4, [&](int first, int size) { tiles[size - 1](t, first); });
}

// One block of channels of one pixel.
void depthwise_block(const DepthwiseRow& row, int pixel, int channel) {
  uint32_t sum[kBlock];
  for (int c = 0; c < kBlock; ++c) sum[c] = uint32_t(row.bias[channel + c]);
  const int8_t* w = row.weights + int64_t(channel) * row.row_count * row.columns;
  for (int r = 0; r < row.row_count; ++r) {
    const uint8_t* from = row.x + pixel * row.x_step + row.rows[r] + 2 * channel;
    for (int column = 0; column < row.columns; ++column, from += row.column_step, w += kBlock) {
      const int16_t* x = reinterpret_cast<const int16_t*>(from);
      for (int c = 0; c < kBlock; ++c) sum[c] += uint32_t(x[c] * int16_t(w[c]));
    }
  }
  uint8_t* y = row.y + pixel * row.y_step + channel;
  const int n = row.channels - channel < kBlock ? row.channels - channel : kBlock;
  for (int c = 0; c < n; ++c) y[c] = requantize(float(int32_t(sum[c])) * row.multipliers[channel + c], row.requantize);
}

void depthwise_row(const DepthwiseRow& row) {
  for (int channel = 0; channel < row.channels; channel += kBlock) {
    for (int pixel = 0; pixel < row.pixels; ++pixel) depthwise_block(row, pixel, channel);
  }
}

// The compiler chooses the instructions, so operands come from the first-level cache as in the inner loop of `tile`.
// The empty assembler hides values: the compiler must not leave products out.
int64_t multiply(int64_t rounds) {
  constexpr int kCount = 512;
  int16_t x[5][kCount] = {};
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : : "r"(x) : "memory");
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int k = 0; k < kCount; ++k) {
      s0 += x[0][k] * x[4][k];
      s1 += x[1][k] * x[4][k];
      s2 += x[2][k] * x[4][k];
      s3 += x[3][k] * x[4][k];
    }
    asm volatile("" : : "r"(s0), "r"(s1), "r"(s2), "r"(s3));
  }
  return rounds * 4 * kCount;
}

constexpr Kernels kKernels =
    make("portable", {1, 1, 1, true, 0}, {kBlock, 1, true, 0}, conv_pixels, depthwise_row, multiply);

}  // namespace

const Kernels& portable_kernels() { return kKernels; }

}  // namespace furiosa
