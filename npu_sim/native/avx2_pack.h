// Sums of products to bytes for AVX2.
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace furiosa {
namespace {

// The requantization of vectors of 8 sums, each times its multiplier: clamp(rint(v), lo, hi) + zero. Packing within
// lanes of 128 bits leaves the channels of `lane_order` in order.
class Pack {
 public:
  explicit Pack(const Requantize& r)
      : lo_(_mm256_set1_ps(r.lo)), hi_(_mm256_set1_ps(r.hi)), zero_(_mm256_set1_epi16(int16_t(r.zero))) {}

  // Two vectors as 16 bytes.
  __m128i bytes(__m256i sum0, __m256i sum1, const float* multipliers) const {
    return bytes(_mm256_packs_epi32(rint(sum0, multipliers), rint(sum1, multipliers + 8)));
  }

  // One vector, in order, as the first 8 bytes.
  __m128i bytes(__m256i sum, const float* multipliers) const {
    const __m256i v = rint(sum, multipliers);
    return _mm_shuffle_epi32(bytes(_mm256_packs_epi32(v, v)), _MM_SHUFFLE(3, 1, 2, 0));
  }

 private:
  // Only the low bytes of the sums count: the clamp keeps results in the range of their type, signed or not.
  __m128i bytes(__m256i words) const {
    const __m256i y = _mm256_and_si256(_mm256_add_epi16(words, zero_), _mm256_set1_epi16(0xFF));
    return _mm_packus_epi16(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
  }

  __m256i rint(__m256i sum, const float* multipliers) const {
    const __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(multipliers));
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(v, lo_), hi_));
  }

  __m256 lo_, hi_;
  __m256i zero_;
};

inline void store(uint8_t* y, __m128i bytes, int n) {
  if (n >= 16) _mm_storeu_si128(reinterpret_cast<__m128i*>(y), bytes);
  else __builtin_memcpy(y, &bytes, size_t(n));
}

}  // namespace
}  // namespace furiosa
