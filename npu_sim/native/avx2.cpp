// Kernels for AVX2: products of int16 pairs, which cannot saturate.
#include <immintrin.h>

#include "vectors.h"

namespace furiosa {
namespace {

template <int Pixels>
void tile(const ConvPixels& t, int first) {
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
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    for (int half = 0; half < 2 && 8 * half < t.channels; ++half) {
      const Floats m = load<Floats>(t.multipliers + 8 * half);
      const Bytes y = requantize(__builtin_convertvector(Ints(sum[p][half]), Floats) * m, t.requantize);
      store(t.y[first + p] + t.y_offset + 8 * half, y, t.channels - 8 * half);
    }
  }
}

void conv_pixels(const ConvPixels& t) {
  constexpr void (*tiles[])(const ConvPixels&, int) = {tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};
  each_tile(t.pixels, 6, [&](int first, int size) { tiles[size - 1](t, first); });
}

constexpr Kernels kKernels = make("avx2", {16, 2, true, false}, {kLanes, 1, true, false}, conv_pixels, depthwise_row);

}  // namespace

const Kernels& avx2_kernels() { return kKernels; }

}  // namespace furiosa
