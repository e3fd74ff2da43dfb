// Sums of products to bytes, 64 at a time, for AVX-512.
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace furiosa {
namespace {

// The requantization of four vectors of 16 values to 64 bytes.
//
// Packing instructions saturate and work within lanes of 128 bits: byte 16 l + 4 v + e of the result is element
// 4 l + e of vector v, the order that `lane_order` gives. Signed results are packed as unsigned ones 128 higher.
class Pack {
 public:
  explicit Pack(const Requantize& r) {
    const int lo = int(r.lo) + r.zero, shift = lo < 0 ? 128 : 0;
    hi_ = _mm512_set1_ps(r.hi);
    zero_ = _mm512_set1_epi16(int16_t(r.zero + shift));
    lo_ = _mm512_set1_epi8(int8_t(lo + shift));
    flip_ = _mm512_set1_epi8(int8_t(shift));
  }

  // clamp(rint(v), lo, hi) + zero; values below -2^31 are, as all below the clamp, its lower bound.
  __m512i bytes(__m512 v0, __m512 v1, __m512 v2, __m512 v3) const {
    const __m512i low = _mm512_packs_epi32(rint(v0), rint(v1)), high = _mm512_packs_epi32(rint(v2), rint(v3));
    const __m512i y = _mm512_packus_epi16(_mm512_adds_epi16(low, zero_), _mm512_adds_epi16(high, zero_));
    return _mm512_xor_si512(_mm512_max_epu8(y, lo_), flip_);
  }

  // The same of sums, each times its multiplier.
  __m512i bytes(const __m512i (&sum)[4], const float* multipliers) const {
    return bytes(scaled(sum[0], multipliers), scaled(sum[1], multipliers + 16), scaled(sum[2], multipliers + 32),
                 scaled(sum[3], multipliers + 48));
  }

 private:
  __m512i rint(__m512 v) const {
    return _mm512_cvt_roundps_epi32(_mm512_min_ps(v, hi_), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static __m512 scaled(__m512i sum, const float* multipliers) {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(multipliers));
  }

  __m512 hi_;
  __m512i zero_, lo_, flip_;
};

// The first `n` bytes, up to all 64.
inline void store(uint8_t* y, __m512i bytes, int64_t n) {
  if (n >= 64) _mm512_storeu_si512(y, bytes);
  else _mm512_mask_storeu_epi8(y, (uint64_t(1) << n) - 1, bytes);
}

}  // namespace
}  // namespace furiosa
