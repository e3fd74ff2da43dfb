// Sums of products to bytes for AVX2.
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace furiosa {
namespace {

// Eight sums times their multipliers; `at` is the first of them in the block.
class Floats {
 public:
  explicit Floats(const float* multipliers) : multipliers_(multipliers) {}

  __m256 operator()(__m256i sum, int at) const {
    return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(multipliers_ + at));
  }

 private:
  const float* multipliers_;
};

// The same in fixed point, see `FixedRow`.
class Fixed {
 public:
  explicit Fixed(const int32_t* rows) : rows_(rows) {}

  __m256 operator()(__m256i sum, int at) const {
    const __m256i factor = row(kFactor, at), right = row(kRight, at), half = _mm256_set1_epi64x(1 << 30);
    const __m256i v = _mm256_sllv_epi32(sum, row(kLeft, at));
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(v, factor), half);
    const __m256i odd =
        _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(v, 32), _mm256_srli_epi64(factor, 32)), half);
    const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xAA);
    const __m256i whole = _mm256_srav_epi32(high, right);
    const __m256i away = _mm256_and_si256(_mm256_srai_epi32(high, 31), row(kAway, at));
    const __m256i rest = _mm256_add_epi32(_mm256_sub_epi32(high, _mm256_sllv_epi32(whole, right)), away);
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(whole, _mm256_cmpgt_epi32(rest, row(kThreshold, at))));
  }

 private:
  __m256i row(int index, int at) const {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows_ + 16 * index + at));
  }

  const int32_t* rows_;
};

// The requantization of vectors of 8 sums, each times its multiplier (`Floats` or `Fixed`): clamp(rint(v), lo, hi) +
// zero. Packing within lanes of 128 bits leaves the channels of `lane_order` in order.
class Pack {
 public:
  explicit Pack(const Requantize& r)
      : lo_(_mm256_set1_ps(r.lo)), hi_(_mm256_set1_ps(r.hi)), zero_(_mm256_set1_epi16(int16_t(r.zero))) {}

  // Two vectors as 16 bytes.
  template <class Scale>
  __m128i bytes(__m256i sum0, __m256i sum1, const Scale& scale) const {
    return bytes(_mm256_packs_epi32(rint(scale(sum0, 0)), rint(scale(sum1, 8))));
  }

  // One vector, in order, as the first 8 bytes.
  template <class Scale>
  __m128i bytes(__m256i sum, const Scale& scale) const {
    const __m256i v = rint(scale(sum, 0));
    return _mm_shuffle_epi32(bytes(_mm256_packs_epi32(v, v)), _MM_SHUFFLE(3, 1, 2, 0));
  }

 private:
  // Only the low bytes of the sums count: the clamp keeps results in the range of their type, signed or not.
  __m128i bytes(__m256i words) const {
    const __m256i y = _mm256_and_si256(_mm256_add_epi16(words, zero_), _mm256_set1_epi16(0xFF));
    return _mm_packus_epi16(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
  }

  __m256i rint(__m256 v) const { return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(v, lo_), hi_)); }

  __m256 lo_, hi_;
  __m256i zero_;
};

inline void store(uint8_t* y, __m128i bytes, int n) {
  if (n >= 16) _mm_storeu_si128(reinterpret_cast<__m128i*>(y), bytes);
  else __builtin_memcpy(y, &bytes, size_t(n));
}

}  // namespace
}  // namespace furiosa
