// Kernels for AVX-512 with VNNI: four products of unsigned and signed bytes a lane and instruction.
#include <immintrin.h>

#include "avx512_bytes.h"
#include "avx512_depthwise.h"
#include "avx512_pack.h"
#include "loops.h"

namespace furiosa {
namespace {

// Up to six pixels by up to four vectors of 16 channels: 24 sums, 4 weights and an activation in registers.
template <class Form, int Pixels, int Vectors>
void tile(const ConvPixels& t, int first) {
  __m512i sum[Pixels][Vectors];
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) {
    const __m512i bias = _mm512_load_si512(t.bias + 16 * v);
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) sum[p][v] = bias;
  }
  const __m512i* w = reinterpret_cast<const __m512i*>(t.weights);
  const char* next = reinterpret_cast<const char*>(t.next_weights + t.next_bytes * first / t.runs);
  const int64_t ahead = t.next_bytes * Pixels / t.runs / (int64_t(t.segments) * t.steps);
  for (int segment = 0; segment < t.segments; ++segment) {
    const uint8_t* x[Pixels];
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) x[p] = t.x[first + p] + (t.x_offset + t.offsets[segment]);
    for (int64_t step = 0; step < t.steps; ++step, w += 4, next += ahead) {
      if (ahead != 0) _mm_prefetch(next, _MM_HINT_T1);
      __m512i weights[Vectors];
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) weights[v] = _mm512_load_si512(w + v);
#pragma GCC unroll 8
      for (int p = 0; p < Pixels; ++p) {
        int32_t four;
        std::memcpy(&four, x[p] + 4 * step, 4);
        const __m512i activation = _mm512_set1_epi32(four);
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) sum[p][v] = _mm512_dpbusd_epi32(sum[p][v], activation, weights[v]);
      }
    }
  }
  const Pack<Form::kBounded> pack(t.requantize);
  const auto scale = Form::scale(t);
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) finish(pack, sum[p], scale, t.y[first + p] + t.y_offset, t.channels);
}

using Tile = void (*)(const ConvPixels&, int first);
template <class Form, int Pixels>
struct Row {
  static constexpr Tile tiles[] = {tile<Form, Pixels, 1>, tile<Form, Pixels, 2>, tile<Form, Pixels, 3>,
                                   tile<Form, Pixels, 4>};
};

template <class Form>
void conv_tiles(const ConvPixels& t) {
  constexpr const Tile* rows[] = {Row<Form, 1>::tiles, Row<Form, 2>::tiles, Row<Form, 3>::tiles,
                                  Row<Form, 4>::tiles, Row<Form, 5>::tiles, Row<Form, 6>::tiles};
  const int vectors = (t.channels + 15) / 16;
  each_tile(t.runs, 6, [&](int first, int size) { rows[size - 1][vectors - 1](t, first); });
}

void conv_pixels(const ConvPixels& t) {
  if (t.fixed != nullptr) conv_tiles<InFixedPoint>(t);
  else t.bounded ? conv_tiles<Bounded>(t) : conv_tiles<Unbounded>(t);
}

// The empty assembler hides values: the compiler must neither merge sums nor leave them out.
int64_t multiply(int64_t rounds) {
  constexpr int kSums = 16;
  __m512i sum[kSums] = {}, x = _mm512_set1_epi8(1), w = x;
#pragma GCC unroll 16
  for (int k = 0; k < kSums; ++k) asm volatile("" : "+v"(sum[k]));
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+v"(x), "+v"(w));
#pragma GCC unroll 16
    for (int k = 0; k < kSums; ++k) sum[k] = _mm512_dpbusd_epi32(sum[k], x, w);
  }
#pragma GCC unroll 16
  for (int k = 0; k < kSums; ++k) asm volatile("" : : "v"(sum[k]));
  return rounds * kSums * 64;
}

Kernels choose() {
  Kernels kernels = make("avx512", {64, 64, 4, false, 4}, {64, 4, false, 4}, conv_pixels, depthwise_row, multiply);
  kernels.scaled_add = wide_scaled_add;
  kernels.scaled_mul = wide_scaled_mul;
  kernels.real_add = wide_real_add;
  kernels.real_mul = wide_real_mul;
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
