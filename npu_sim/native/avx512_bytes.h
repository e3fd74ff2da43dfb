// Element-wise kernels for AVX-512, 64 bytes at a time.
#pragma once

#include "avx512_pack.h"
#include "loops.h"

namespace furiosa {
namespace {

// Bytes as float32 integers in `lane_order`, less an offset.
//
// The float32 number with the bits 0x4B0000xx is 2^23 + xx, so that one exact subtraction both converts and centres.
class Widen {
 public:
  explicit Widen(const Reading& reading)
      : mask_(_mm512_set1_epi8(int8_t(reading.mask))), base_(_mm512_set1_ps(8388608.0f + float(reading.offset))) {}

  void operator()(__m512i x, __m512 (&out)[4]) const {
    const __m512i bytes = _mm512_xor_si512(x, mask_), zero = _mm512_setzero_si512();
    const __m512i high = _mm512_set1_epi16(0x4B00);
    const __m512i low_half = _mm512_unpacklo_epi8(bytes, zero), high_half = _mm512_unpackhi_epi8(bytes, zero);
    out[0] = number(_mm512_unpacklo_epi16(low_half, high));
    out[1] = number(_mm512_unpackhi_epi16(low_half, high));
    out[2] = number(_mm512_unpacklo_epi16(high_half, high));
    out[3] = number(_mm512_unpackhi_epi16(high_half, high));
  }

 private:
  __m512 number(__m512i bits) const { return _mm512_sub_ps(_mm512_castsi512_ps(bits), base_); }

  __m512i mask_;
  __m512 base_;
};

inline __m512i load(const uint8_t* x, int64_t n) {
  return n >= 64 ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi8((uint64_t(1) << n) - 1, x);
}

// y = requantize(formula(a, b)).
template <bool kBounded, class Formula>
inline void wide_pairs(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair, Formula formula) {
  const Widen read_a(pair.a), read_b(pair.b);
  const Pack<kBounded> pack(pair.requantize);
  for (int64_t i = 0; i < n; i += 64) {
    __m512 u[4], v[4];
    read_a(load(a + i, n - i), u);
    read_b(load(b + i, n - i), v);
    store(y + i, pack.bytes(formula(u[0], v[0]), formula(u[1], v[1]), formula(u[2], v[2]), formula(u[3], v[3])), n - i);
  }
}

template <class Formula>
inline void wide_pairs(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair, Formula formula) {
  if (pair.bounded) wide_pairs<true>(a, b, y, n, pair, formula);
  else wide_pairs<false>(a, b, y, n, pair, formula);
}

void wide_scaled_add(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair) {
  const __m512 a_scale = _mm512_set1_ps(pair.a_scale), b_scale = _mm512_set1_ps(pair.b_scale);
  const __m512 fixed = _mm512_set1_ps(pair.fixed);
  wide_pairs(a, b, y, n, pair,
             [=](__m512 u, __m512 v) { return _mm512_fmadd_ps(u, a_scale, _mm512_fmadd_ps(v, b_scale, fixed)); });
}

void wide_scaled_mul(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair) {
  const __m512 scale = _mm512_set1_ps(pair.a_scale), fixed = _mm512_set1_ps(pair.fixed);
  wide_pairs(a, b, y, n, pair,
             [=](__m512 u, __m512 v) { return _mm512_add_ps(_mm512_mul_ps(_mm512_mul_ps(u, v), scale), fixed); });
}

// x / y for a constant y, correctly rounded: the product with 1 / y, corrected once by its remainder, for ordinary x
// and y (Markstein's theorem; Brisebarre, Muller and Raina, "Accelerating Correctly Rounded Floating-Point Division
// when the Divisor Is Known in Advance", 2004).
class Divide {
 public:
  explicit Divide(float y) : y_(_mm512_set1_ps(y)), inverse_(_mm512_set1_ps(1.0f / y)) {}

  __m512 operator()(__m512 x) const {
    const __m512 quotient = _mm512_mul_ps(x, inverse_);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(quotient, y_, x), inverse_, quotient);
  }

 private:
  __m512 y_, inverse_;
};

// y = requantize(value(a, b) / y_scale).
template <class Value>
inline void wide_quotients(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair, Value value) {
  if (pair.bounded) {
    const Divide divide(pair.y_scale);
    wide_pairs<true>(a, b, y, n, pair, [=](__m512 u, __m512 v) { return divide(value(u, v)); });
  } else {
    const __m512 y_scale = _mm512_set1_ps(pair.y_scale);
    wide_pairs<false>(a, b, y, n, pair, [=](__m512 u, __m512 v) { return _mm512_div_ps(value(u, v), y_scale); });
  }
}

void wide_real_add(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair) {
  const __m512 a_scale = _mm512_set1_ps(pair.a_scale), b_scale = _mm512_set1_ps(pair.b_scale);
  wide_quotients(a, b, y, n, pair, [=](__m512 u, __m512 v) {
    return _mm512_add_ps(_mm512_mul_ps(u, a_scale), _mm512_mul_ps(v, b_scale));
  });
}

void wide_real_mul(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair) {
  const __m512 a_scale = _mm512_set1_ps(pair.a_scale), b_scale = _mm512_set1_ps(pair.b_scale);
  wide_quotients(a, b, y, n, pair, [=](__m512 u, __m512 v) {
    return _mm512_mul_ps(_mm512_mul_ps(u, a_scale), _mm512_mul_ps(v, b_scale));
  });
}

// y = requantize(quotient(x)), in vectors as far as they are full.
template <bool kBounded, class Quotient>
inline void wide_quotient(const float* x, uint8_t* y, int64_t n, float scale, const Requantize& requantize,
                          Quotient quotient) {
  const Pack<kBounded> pack(requantize);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    __m512 v[4];
    for (int k = 0; k < 4; ++k) v[k] = quotient(_mm512_loadu_ps(x + i + 16 * k));
    store(y + i, _mm512_permutexvar_epi32(order, pack.bytes(v[0], v[1], v[2], v[3])), 64);
  }
  quantize(x + i, y + i, n - i, scale, requantize);
}

// y = requantize(x / scale). What lies far outside of the bounds, infinities too, is brought near them first.
void wide_quantize(const float* x, uint8_t* y, int64_t n, float scale, const Requantize& requantize) {
  if (!ordinary(scale)) {
    const __m512 divisor = _mm512_set1_ps(scale);
    return wide_quotient<false>(x, y, n, scale, requantize, [=](__m512 v) { return _mm512_div_ps(v, divisor); });
  }
  const __m512 far = _mm512_set1_ps(1024.0f * scale), minus_far = _mm512_set1_ps(-1024.0f * scale);
  const Divide divide(scale);
  wide_quotient<true>(x, y, n, scale, requantize, [=](__m512 v) {
    return divide(_mm512_min_ps(far, _mm512_max_ps(minus_far, v)));  // NaN stays NaN in this order of operands
  });
}

// Two look-ups in 128 entries each; the top bit of the index chooses.
__attribute__((target("avx512vbmi"))) void permuted_table(const uint8_t* x, uint8_t* y, int64_t n,
                                                          const uint8_t* table) {
  const __m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 64);
  const __m512i t2 = _mm512_loadu_si512(table + 128), t3 = _mm512_loadu_si512(table + 192);
  for (int64_t i = 0; i < n; i += 64) {
    const __m512i index = load(x + i, n - i);
    const __m512i low = _mm512_permutex2var_epi8(t0, index, t1), high = _mm512_permutex2var_epi8(t2, index, t3);
    store(y + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high), n - i);
  }
}

}  // namespace
}  // namespace furiosa
