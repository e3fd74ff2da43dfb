// Kernels for AVX-512 with VNNI: four products of unsigned and signed bytes a lane and instruction.
#include <immintrin.h>

#include "avx512_bytes.h"
#include "avx512_depthwise.h"
#include "avx512_pack.h"
#include "loops.h"

namespace furiosa {
namespace {

inline __attribute__((always_inline)) void finish(const ConvTile& t, int pixel, int vector, __m512i sum) {
  const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_load_ps(t.multipliers + 16 * vector));
  const __m512 low = _mm512_max_ps(scaled, _mm512_set1_ps(t.requantize.lo));
  const __m512 clamped = _mm512_min_ps(low, _mm512_set1_ps(t.requantize.hi));
  const __m512i rounded = _mm512_cvt_roundps_epi32(clamped, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512i y = _mm512_add_epi32(rounded, _mm512_set1_epi32(t.requantize.zero));
  const int channels = t.channels - 16 * vector;
  const __mmask16 mask = channels >= 16 ? 0xFFFF : __mmask16((1u << channels) - 1);
  _mm512_mask_cvtepi32_storeu_epi8(t.y[pixel] + 16 * vector, mask, y);
}

// Up to six pixels by up to four vectors of 16 channels: 24 sums, 4 weights and an activation in registers.
template <int Pixels, int Vectors>
void tile(const ConvTile& t) {
  __m512i sum[Pixels][Vectors];
  for (int v = 0; v < Vectors; ++v) {
    const __m512i bias = _mm512_load_si512(t.bias + 16 * v);
    for (int p = 0; p < Pixels; ++p) sum[p][v] = bias;
  }
  const __m512i* w = reinterpret_cast<const __m512i*>(t.weights);
  for (int segment = 0; segment < t.segments; ++segment) {
    const uint8_t* x[Pixels];
    for (int p = 0; p < Pixels; ++p) x[p] = t.x[p] + t.offsets[segment];
    for (int64_t step = 0; step < t.steps; ++step, w += 4) {
      __m512i weights[Vectors];
      for (int v = 0; v < Vectors; ++v) weights[v] = _mm512_load_si512(w + v);
      for (int p = 0; p < Pixels; ++p) {
        int32_t four;
        std::memcpy(&four, x[p] + 4 * step, 4);
        const __m512i activation = _mm512_set1_epi32(four);
        for (int v = 0; v < Vectors; ++v) sum[p][v] = _mm512_dpbusd_epi32(sum[p][v], activation, weights[v]);
      }
    }
  }
  if constexpr (Vectors == 4) {
    const Pack pack(t.requantize);
    for (int p = 0; p < Pixels; ++p) store(t.y[p], pack.bytes(sum[p], t.multipliers), t.channels);
  } else {
    for (int p = 0; p < Pixels; ++p) {
      for (int v = 0; v < Vectors; ++v) finish(t, p, v, sum[p][v]);
    }
  }
}

using Tile = void (*)(const ConvTile&);
template <int Pixels>
struct Row {
  static constexpr Tile tiles[] = {tile<Pixels, 1>, tile<Pixels, 2>, tile<Pixels, 3>, tile<Pixels, 4>};
};

void conv_tile(const ConvTile& t) {
  constexpr const Tile* rows[] = {Row<1>::tiles, Row<2>::tiles, Row<3>::tiles,
                                  Row<4>::tiles, Row<5>::tiles, Row<6>::tiles};
  rows[t.pixels - 1][(t.channels - 1) / 16](t);
}

Kernels choose() {
  Kernels kernels = make("avx512", {6, 64, 4, false, true}, {64, 4, false, true}, conv_tile, depthwise_row);
  kernels.scaled_add = wide_scaled_add;
  kernels.scaled_mul = wide_scaled_mul;
  kernels.real_add = wide_real_add;
  kernels.quantize = wide_quantize;
  if (__builtin_cpu_supports("avx512vbmi")) kernels.table = permuted_table;
  return kernels;
}

}  // namespace

const Kernels& avx512_kernels() {
  static const Kernels kernels = choose();
  return kernels;
}

}  // namespace furiosa
