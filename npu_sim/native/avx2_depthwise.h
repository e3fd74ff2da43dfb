// Depthwise convolution for AVX2: two rows of the kernel in one instruction, on int16.
#pragma once

#include "avx2_pack.h"

namespace furiosa {
namespace {

// Some pixels of 16 channels. Two rows of a column lie side by side for each channel, in `lane_order`.
template <int Pixels>
inline __attribute__((always_inline)) void depthwise_pixels(const DepthwiseRow& row, const Pack& pack, int pixel,
                                                            int channel) {
  __m256i sum[Pixels][2];
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    sum[p][0] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row.bias + channel));
    sum[p][1] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row.bias + channel + 8));
  }
  const int8_t* weights = row.weights + int64_t(channel) * row.row_count * row.columns;
  for (int first = 0; first < row.row_count; first += 2) {
    const uint8_t* x = row.x + pixel * row.x_step + row.rows[first] + 2 * channel;
    const int64_t second = row.rows[first + 1] - row.rows[first];
    for (int c = 0; c < row.columns; ++c, x += row.column_step, weights += 32) {
      const __m256i w0 = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
      const __m256i w1 = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + 16)));
#pragma GCC unroll 8
      for (int p = 0; p < Pixels; ++p) {
        const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + p * row.x_step));
        const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + p * row.x_step + second));
        sum[p][0] = _mm256_add_epi32(sum[p][0], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), w0));
        sum[p][1] = _mm256_add_epi32(sum[p][1], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), w1));
      }
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    store(row.y + (pixel + p) * row.y_step + channel,
          pack.bytes(sum[p][0], sum[p][1], Floats(row.multipliers + channel)), row.channels - channel);
  }
}

void depthwise_row(const DepthwiseRow& row) {
  const Pack pack(row.requantize);
  for (int channel = 0; channel < row.channels; channel += 16) {
    int pixel = 0;
    for (; pixel + 4 <= row.pixels; pixel += 4) depthwise_pixels<4>(row, pack, pixel, channel);
    for (; pixel < row.pixels; ++pixel) depthwise_pixels<1>(row, pack, pixel, channel);
  }
}

}  // namespace
}  // namespace furiosa
