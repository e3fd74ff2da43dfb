// Kernels for AVX2: products of int16 pairs, which cannot saturate.
#include <immintrin.h>

#include "avx2_depthwise.h"
#include "avx2_pack.h"
#include "loops.h"

namespace furiosa {
namespace {

template <class Scale, int Pixels>
void tile(const ConvPixels& t, const Scale& scale, int first) {
  __m256i sum[Pixels][2];
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    sum[p][0] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(t.bias));
    sum[p][1] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(t.bias + 8));
  }
  const __m256i* w = reinterpret_cast<const __m256i*>(t.weights);
  for (int segment = 0; segment < t.segments; ++segment) {
    const uint8_t* x[Pixels];
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) x[p] = t.x[first + p] + (t.x_offset + t.offsets[segment]);
    for (int64_t step = 0; step < t.steps; ++step, w += 2) {
      const __m256i w0 = _mm256_load_si256(w), w1 = _mm256_load_si256(w + 1);
#pragma GCC unroll 8
      for (int p = 0; p < Pixels; ++p) {
        int32_t pair;
        std::memcpy(&pair, x[p] + 4 * step, 4);
        const __m256i pairs = _mm256_set1_epi32(pair);
        sum[p][0] = _mm256_add_epi32(sum[p][0], _mm256_madd_epi16(pairs, w0));
        sum[p][1] = _mm256_add_epi32(sum[p][1], _mm256_madd_epi16(pairs, w1));
      }
    }
  }
  const Pack pack(t.requantize);
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    const bool two = t.channels > 8;
    store(t.y[first + p] + t.y_offset, two ? pack.bytes(sum[p][0], sum[p][1], scale) : pack.bytes(sum[p][0], scale),
          t.channels);
  }
}

template <class Scale>
void conv_tiles(const ConvPixels& t, const Scale& scale) {
  constexpr void (*tiles[])(const ConvPixels&, const Scale&, int) = {tile<Scale, 1>, tile<Scale, 2>, tile<Scale, 3>,
                                                                     tile<Scale, 4>, tile<Scale, 5>, tile<Scale, 6>};
  each_tile(t.runs, 6, [&](int first, int size) { tiles[size - 1](t, scale, first); });
}

void conv_pixels(const ConvPixels& t) {
  if (t.fixed != nullptr) conv_tiles(t, Fixed(t.fixed));
  else conv_tiles(t, Floats(t.multipliers));
}

// Sixteen look-ups in 16 entries each; an index outside of a sixteenth gets bit 7, which gives zero.
void shuffled_table(const uint8_t* x, uint8_t* y, int64_t n, const uint8_t* entries) {
  __m256i parts[16];
  for (int k = 0; k < 16; ++k) {
    parts[k] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(entries + 16 * k)));
  }
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m256i index = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    __m256i found = _mm256_setzero_si256();
    for (int k = 0; k < 16; ++k) {
      const __m256i low = _mm256_xor_si256(index, _mm256_set1_epi8(int8_t(16 * k)));
      const __m256i inside = _mm256_adds_epu8(low, _mm256_set1_epi8(0x70));
      found = _mm256_or_si256(found, _mm256_shuffle_epi8(parts[k], inside));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i), found);
  }
  table(x + i, y + i, n - i, entries);
}

// The empty assembler hides values: the compiler must neither merge products nor leave them out.
int64_t multiply(int64_t rounds) {
  constexpr int kSums = 12;
  __m256i sum[kSums] = {}, x = _mm256_set1_epi16(1), w = x;
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int k = 0; k < kSums; ++k) {
      asm volatile("" : "+x"(x), "+x"(w));
      sum[k] = _mm256_add_epi32(sum[k], _mm256_madd_epi16(x, w));
    }
  }
#pragma GCC unroll 16
  for (int k = 0; k < kSums; ++k) asm volatile("" : : "x"(sum[k]));
  return rounds * kSums * 16;
}

Kernels choose() {
  Kernels kernels = make("avx2", {16, 16, 2, true, 2}, {16, 2, true, 2}, conv_pixels, depthwise_row, multiply);
  kernels.table = shuffled_table;
  return kernels;
}

}  // namespace

const Kernels& avx2_kernels() {
  static const Kernels kernels = choose();
  return kernels;
}

}  // namespace furiosa
