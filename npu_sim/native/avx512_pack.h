// Sums of products to bytes for AVX-512.
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace furiosa {
namespace {

// The requantization of vectors of 16 values: clamp(rint(v), lo, hi) + zero.
//
// Packing instructions saturate and work within lanes of 128 bits: they leave the channels of `lane_order` in order. With
// `kBounded` the values must lie in the range of int32, which saves a minimum each.
template <bool kBounded>
class Pack {
 public:
  explicit Pack(const Requantize& r) {
    const int lo = int(r.lo) + r.zero, hi = int(r.hi) + r.zero, shift = lo < 0 ? 128 : 0;
    hi_ = _mm512_set1_ps(r.hi);
    zero_ = _mm512_set1_epi16(int16_t(r.zero)), lo_ = _mm512_set1_epi16(int16_t(lo)), top_ = _mm512_set1_epi16(int16_t(hi));
    shifted_zero_ = _mm512_set1_epi16(int16_t(r.zero + shift));
    shifted_lo_ = _mm512_set1_epi8(int8_t(lo + shift)), shifted_top_ = _mm512_set1_epi8(int8_t(hi + shift));
    flip_ = _mm512_set1_epi8(int8_t(shift));
  }

  // Four vectors as 64 bytes. Signed results are packed as unsigned ones 128 higher.
  __m512i bytes(__m512 v0, __m512 v1, __m512 v2, __m512 v3) const {
    const __m512i low = _mm512_packs_epi32(rint(v0), rint(v1)), high = _mm512_packs_epi32(rint(v2), rint(v3));
    const __m512i y = _mm512_packus_epi16(_mm512_adds_epi16(low, shifted_zero_), _mm512_adds_epi16(high, shifted_zero_));
    return _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(y, shifted_lo_), shifted_top_), flip_);
  }

  // Two vectors as 32 bytes.
  __m256i bytes(__m512 v0, __m512 v1) const {
    const __m512i y = _mm512_adds_epi16(_mm512_packs_epi32(rint(v0), rint(v1)), zero_);
    return _mm512_cvtepi16_epi8(_mm512_min_epi16(_mm512_max_epi16(y, lo_), top_));
  }

  // One vector, in order.
  __m128i bytes(__m512 v) const {
    const __m512i words = _mm512_packs_epi32(rint(v), rint(v));
    const __m512i y = _mm512_min_epi16(_mm512_max_epi16(_mm512_adds_epi16(words, zero_), lo_), top_);
    return _mm512_cvtepi32_epi8(_mm512_unpacklo_epi16(y, y));
  }

 private:
  // NaN stays NaN in this order of operands, and converts to the least int32.
  __m512i rint(__m512 v) const {
    return _mm512_cvt_roundps_epi32(kBounded ? v : _mm512_min_ps(hi_, v), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }

  __m512 hi_;
  __m512i zero_, lo_, top_, shifted_zero_, shifted_lo_, shifted_top_, flip_;
};

// A vector of sums, each times its multiplier.
inline __m512 scaled(__m512i sum, const float* multipliers) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_load_ps(multipliers));
}

// The first `n` bytes, up to all 64.
inline void store(uint8_t* y, __m512i bytes, int64_t n) {
  if (n >= 64) _mm512_storeu_si512(y, bytes);
  else _mm512_mask_storeu_epi8(y, (uint64_t(1) << n) - 1, bytes);
}

inline void store(uint8_t* y, __m256i bytes, int n) {
  if (n >= 32) _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), bytes);
  else _mm256_mask_storeu_epi8(y, (uint32_t(1) << n) - 1, bytes);
}

inline void store(uint8_t* y, __m128i bytes, int n) {
  _mm_mask_storeu_epi8(y, n >= 16 ? __mmask16(0xFFFF) : __mmask16((1u << n) - 1), bytes);
}

// `Vectors` sums, as `ConvFormat::position` orders the channels, to `n` bytes.
template <bool kBounded, int Vectors>
inline __attribute__((always_inline)) void finish(const Pack<kBounded>& pack, const __m512i (&sum)[Vectors], const float* m, uint8_t* y, int n) {
  if constexpr (Vectors == 4) {
    store(y, pack.bytes(scaled(sum[0], m), scaled(sum[1], m + 16), scaled(sum[2], m + 32), scaled(sum[3], m + 48)), n);
    return;
  }
  if constexpr (Vectors > 1) store(y, pack.bytes(scaled(sum[0], m), scaled(sum[1], m + 16)), n);
  if constexpr (Vectors % 2) store(y + 16 * (Vectors - 1), pack.bytes(scaled(sum[Vectors - 1], m + 16 * (Vectors - 1))), n - 16 * (Vectors - 1));
}

}  // namespace
}  // namespace furiosa
