// Depthwise convolution for AVX-512 with VNNI: four rows of the kernel in one instruction.
#pragma once

#include "avx512_pack.h"

namespace furiosa {
namespace {

// Four rows of 64 channels as four vectors of 16 channels in `lane_order`, the rows of a channel side by side.
inline void interleave(const uint8_t* const (&rows)[4], int64_t at, __m512i (&out)[4]) {
  const __m512i r0 = _mm512_loadu_si512(rows[0] + at), r1 = _mm512_loadu_si512(rows[1] + at);
  const __m512i r2 = _mm512_loadu_si512(rows[2] + at), r3 = _mm512_loadu_si512(rows[3] + at);
  const __m512i low01 = _mm512_unpacklo_epi8(r0, r1), high01 = _mm512_unpackhi_epi8(r0, r1);
  const __m512i low23 = _mm512_unpacklo_epi8(r2, r3), high23 = _mm512_unpackhi_epi8(r2, r3);
  out[0] = _mm512_unpacklo_epi16(low01, low23);
  out[1] = _mm512_unpackhi_epi16(low01, low23);
  out[2] = _mm512_unpacklo_epi16(high01, high23);
  out[3] = _mm512_unpackhi_epi16(high01, high23);
}

// Consecutive pixels whose windows are one column apart: each column is interleaved once for all of them.
template <bool kBounded, int Columns, int Pixels>
inline void depthwise_pixels(const DepthwiseRow& row, const Pack<kBounded>& pack, const uint8_t* x, uint8_t* y,
                             const int8_t* weights, int64_t block) {
  const int columns = Columns > 0 ? Columns : row.columns;
  __m512i sum[Pixels][4];
#pragma GCC unroll 8
  for (int v = 0; v < 4; ++v) {
    const __m512i bias = _mm512_load_si512(row.bias + 64 * block + 16 * v);
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) sum[p][v] = bias;
  }
  for (int first = 0; first < row.row_count; first += 4, weights += 256 * columns) {
    const uint8_t* rows[4];
#pragma GCC unroll 8
    for (int r = 0; r < 4; ++r) rows[r] = x + row.rows[first + r];
    for (int column = 0; column < columns + Pixels - 1; ++column) {
      __m512i taps[4];
      interleave(rows, column * row.column_step, taps);
#pragma GCC unroll 8
      for (int p = 0; p < Pixels; ++p) {
        if (column < p || column - p >= columns) continue;
        const int8_t* w = weights + 256 * (column - p);
#pragma GCC unroll 8
        for (int v = 0; v < 4; ++v) {
          sum[p][v] = _mm512_dpbusd_epi32(sum[p][v], taps[v], _mm512_load_si512(w + 64 * v));
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    finish(pack, sum[p], Floats(row.multipliers + 64 * block), y + p * row.y_step, int(row.channels - 64 * block));
  }
}

template <bool kBounded, int Columns>
void depthwise_blocks(const DepthwiseRow& row) {
  const Pack<kBounded> pack(row.requantize);
  const int64_t block_bytes = int64_t(64) * row.row_count * row.columns;
  const int together = row.x_step == row.column_step ? row.pixels / 2 * 2 : 0;
  for (int64_t block = 0; 64 * block < row.channels; ++block) {
    const int8_t* weights = row.weights + block * block_bytes;
    const uint8_t* x = row.x + 64 * block;
    uint8_t* y = row.y + 64 * block;
    int pixel = 0;
    for (; pixel < together; pixel += 2) {
      depthwise_pixels<kBounded, Columns, 2>(row, pack, x + pixel * row.x_step, y + pixel * row.y_step, weights, block);
    }
    for (; pixel < row.pixels; ++pixel) {
      depthwise_pixels<kBounded, Columns, 1>(row, pack, x + pixel * row.x_step, y + pixel * row.y_step, weights, block);
    }
  }
}

void depthwise_row(const DepthwiseRow& row) {
  if (!row.bounded) depthwise_blocks<false, 0>(row);
  else if (row.columns == 3) depthwise_blocks<true, 3>(row);
  else depthwise_blocks<true, 0>(row);
}

}  // namespace
}  // namespace furiosa
