// Sums of products to bytes for AVX-512.
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace furiosa {
namespace {

// The requantization of vectors of 16 values: clamp(rint(v), lo, hi) + zero.
//
// Packing instructions saturate and work within lanes of 128 bits: they leave the channels of `lane_order` in order.
// With `kBounded` the values must lie in the range of int32, which saves a minimum each.
template <bool kBounded>
class Pack {
 public:
  explicit Pack(const Requantize& r) {
    const int lo = int(r.lo) + r.zero, hi = int(r.hi) + r.zero, shift = lo < 0 ? 128 : 0;
    hi_ = _mm512_set1_ps(r.hi);
    zero_ = _mm512_set1_epi16(int16_t(r.zero)), lo_ = _mm512_set1_epi16(int16_t(lo)),
    top_ = _mm512_set1_epi16(int16_t(hi));
    shifted_zero_ = _mm512_set1_epi16(int16_t(r.zero + shift));
    shifted_lo_ = _mm512_set1_epi8(int8_t(lo + shift)), shifted_top_ = _mm512_set1_epi8(int8_t(hi + shift));
    flip_ = _mm512_set1_epi8(int8_t(shift));
  }

  // Four vectors as 64 bytes. Signed results are packed as unsigned ones 128 higher.
  __m512i bytes(__m512 v0, __m512 v1, __m512 v2, __m512 v3) const {
    const __m512i low = _mm512_packs_epi32(rint(v0), rint(v1)), high = _mm512_packs_epi32(rint(v2), rint(v3));
    const __m512i y =
        _mm512_packus_epi16(_mm512_adds_epi16(low, shifted_zero_), _mm512_adds_epi16(high, shifted_zero_));
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
    return _mm512_cvt_roundps_epi32(kBounded ? v : _mm512_min_ps(hi_, v),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }

  __m512 hi_;
  __m512i zero_, lo_, top_, shifted_zero_, shifted_lo_, shifted_top_, flip_;
};

// A vector of sums, each times its multiplier; `at` is the first of them in the block.
class Floats {
 public:
  explicit Floats(const float* multipliers) : multipliers_(multipliers) {}

  __m512 operator()(__m512i sum, int at) const {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_load_ps(multipliers_ + at));
  }

 private:
  const float* multipliers_;
};

// The same in fixed point, see `FixedRow`.
class Fixed {
 public:
  explicit Fixed(const int32_t* rows) : rows_(rows) {}

  __m512 operator()(__m512i sum, int at) const {
    const __m512i factor = row(kFactor, at), right = row(kRight, at), half = _mm512_set1_epi64(1 << 30);
    const __m512i v = _mm512_sllv_epi32(sum, row(kLeft, at));
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(v, factor), half);
    const __m512i odd =
        _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(v, 32), _mm512_srli_epi64(factor, 32)), half);
    const __m512i high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1));
    const __m512i whole = _mm512_srav_epi32(high, right);
    const __m512i away = _mm512_and_si512(_mm512_srai_epi32(high, 31), row(kAway, at));
    const __m512i rest = _mm512_add_epi32(_mm512_sub_epi32(high, _mm512_sllv_epi32(whole, right)), away);
    const __mmask16 up = _mm512_cmpgt_epi32_mask(rest, row(kThreshold, at));
    return _mm512_cvtepi32_ps(_mm512_mask_add_epi32(whole, up, whole, _mm512_set1_epi32(1)));
  }

 private:
  __m512i row(int index, int at) const { return _mm512_load_si512(rows_ + 64 * index + at); }

  const int32_t* rows_;
};

// How the sums of a convolution are scaled, and whether the results lie in the range of int32.
struct Bounded {
  static constexpr bool kBounded = true;
  static Floats scale(const ConvPixels& t) { return Floats(t.multipliers); }
};
struct Unbounded {
  static constexpr bool kBounded = false;
  static Floats scale(const ConvPixels& t) { return Floats(t.multipliers); }
};
struct InFixedPoint {
  static constexpr bool kBounded = false;
  static Fixed scale(const ConvPixels& t) { return Fixed(t.fixed); }
};

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
template <bool kBounded, int Vectors, class Scale>
inline __attribute__((always_inline)) void finish(const Pack<kBounded>& pack, const __m512i (&sum)[Vectors],
                                                  const Scale& scale, uint8_t* y, int n) {
  if constexpr (Vectors == 4) {
    store(y, pack.bytes(scale(sum[0], 0), scale(sum[1], 16), scale(sum[2], 32), scale(sum[3], 48)), n);
    return;
  }
  constexpr int kLast = 16 * (Vectors - 1);
  if constexpr (Vectors > 1) store(y, pack.bytes(scale(sum[0], 0), scale(sum[1], 16)), n);
  if constexpr (Vectors % 2) store(y + kLast, pack.bytes(scale(sum[Vectors - 1], kLast)), n - kLast);
}

}  // namespace
}  // namespace furiosa
