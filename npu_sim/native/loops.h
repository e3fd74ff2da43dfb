// Inner loops that every variant compiles for its own instruction set; included once by each variant's file.
//
// All names are in an unnamed namespace and no function of the standard library is called: a shared inline function
// compiled for a newer instruction set could be the one that the linker keeps.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels.h"
#include "transpose.h"

namespace furiosa {
namespace {

// Adding and subtracting 1.5 * 2^23 rounds to an integer, half to even, for |v| < 2^22.
constexpr float kRounder = 12582912.0f;
constexpr double kRounder64 = 6755399441055744.0;  // the same for doubles: 1.5 * 2^52

inline __attribute__((always_inline)) int32_t round_even(float v) { return int32_t((v + kRounder) - kRounder); }

inline __attribute__((always_inline)) uint8_t requantize(float v, const Requantize& r) {
  v = v > r.lo ? v : r.lo;
  v = v < r.hi ? v : r.hi;
  return uint8_t(round_even(v) + r.zero);
}

// A sum in fixed point; `fixed` points at its channel's number of the first row, rows are `step` apart.
inline __attribute__((always_inline)) int32_t fixed_steps(int32_t sum, const int32_t* fixed, int step) {
  const int32_t v = int32_t(uint32_t(sum) << fixed[kLeft * step]);
  const int32_t high = int32_t((int64_t(v) * fixed[kFactor * step] + (int64_t(1) << 30)) >> 31);
  const int32_t right = fixed[kRight * step], whole = high >> right;
  const int32_t rest = int32_t(uint32_t(high) - (uint32_t(whole) << right)) + (high < 0 ? fixed[kAway * step] : 0);
  return whole + (rest > fixed[kThreshold * step] ? 1 : 0);
}

void flip(const uint8_t* x, uint8_t* y, int64_t n, uint8_t mask) {
  for (int64_t i = 0; i < n; ++i) y[i] = uint8_t(x[i] ^ mask);
}

void widen(const uint8_t* x, int16_t* y, int64_t n, bool is_signed, int32_t zero) {
  if (is_signed) {
    for (int64_t i = 0; i < n; ++i) y[i] = int16_t(int8_t(x[i]) - zero);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = int16_t(x[i] - zero);
  }
}

// 64 bytes at a time in registers; a flip of the top bit makes the order of signed bytes that of unsigned ones.
typedef uint8_t Line __attribute__((vector_size(64)));

inline __attribute__((always_inline)) void max_line(const uint8_t* const* x, int count, uint8_t* y, int64_t at,
                                                    int64_t n, uint8_t flip) {
  Line largest = {};
  for (int k = 0; k < count; ++k) {
    Line values;
    __builtin_memcpy(&values, x[k] + at, size_t(n));
    values ^= flip;
    largest = values > largest ? values : largest;
  }
  largest ^= flip;
  __builtin_memcpy(y + at, &largest, size_t(n));
}

void max(const uint8_t* const* x, int count, uint8_t* y, int64_t n, bool is_signed) {
  const uint8_t flip = is_signed ? 0x80 : 0;
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) max_line(x, count, y, i, 64, flip);
  if (i < n) max_line(x, count, y, i, n - i, flip);
}

// Eight look-ups are put together in a register; gather instructions of vectors are slower.
void table(const uint8_t* x, uint8_t* y, int64_t n, const uint8_t* table) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t in, out = 0;
    __builtin_memcpy(&in, x + i, 8);
    for (int k = 0; k < 8; ++k) out |= uint64_t(table[in >> (8 * k) & 0xFF]) << (8 * k);
    __builtin_memcpy(y + i, &out, 8);
  }
  for (; i < n; ++i) y[i] = table[x[i]];
}

inline __attribute__((always_inline)) int32_t read(uint8_t x, const Reading& r) {
  return int32_t(x ^ r.mask) - r.offset;
}

template <class Formula>
inline __attribute__((always_inline)) void pairs(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n,
                                                 const Pair& pair, Formula formula) {
  const Pair p = pair;
  for (int64_t i = 0; i < n; ++i) y[i] = requantize(formula(read(a[i], p.a), read(b[i], p.b), p), p.requantize);
}

void scaled_add(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair) {
  pairs(a, b, y, n, pair, [](int32_t u, int32_t v, const Pair& p) {
    return __builtin_fmaf(float(u), p.a_scale, __builtin_fmaf(float(v), p.b_scale, p.fixed));
  });
}

void scaled_mul(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair) {
  pairs(a, b, y, n, pair, [](int32_t u, int32_t v, const Pair& p) { return float(u * v) * p.a_scale + p.fixed; });
}

void real_add(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair) {
  pairs(a, b, y, n, pair,
        [](int32_t u, int32_t v, const Pair& p) { return (float(u) * p.a_scale + float(v) * p.b_scale) / p.y_scale; });
}

void real_mul(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair) {
  pairs(a, b, y, n, pair, [](int32_t u, int32_t v, const Pair& p) {
    return (float(u) * p.a_scale) * (float(v) * p.b_scale) / p.y_scale;
  });
}

void lite_mul(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair) {
  pairs(a, b, y, n, pair, [](int32_t u, int32_t v, const Pair& p) { return float(u * v) * p.a_scale; });
}

void lite_add(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t n, const Pair& pair) {
  const Pair p = pair;
  const FixedSum f = p.sum;
  const int32_t lo = int32_t(p.requantize.lo), hi = int32_t(p.requantize.hi), zero = p.requantize.zero;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t products = uint32_t(read(a[i], p.a) * f.factor_a) + uint32_t(read(b[i], p.b) * f.factor_b);
    int32_t v = int32_t(products + uint32_t(f.addend)) >> f.shift;
    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    y[i] = uint8_t(v + zero);
  }
}

void add_pairs(const uint8_t* a, const uint8_t* b, float* sum, int64_t n, const Pair& pair, float floor) {
  const Pair p = pair;
  for (int64_t i = 0; i < n; ++i) {
    const float total = float(read(a[i], p.a)) * p.a_scale + float(read(b[i], p.b)) * p.b_scale;
    sum[i] += total > floor ? total : floor;
  }
}

void add_scaled(const uint8_t* x, float* sum, int64_t n, const Reading& reading, float scale) {
  const Reading r = reading;
  for (int64_t i = 0; i < n; ++i) sum[i] += float(read(x[i], r)) * scale;
}

void mean(const float* sum, uint8_t* y, int64_t n, float count, float scale, float zero, const Requantize& requant) {
  const Requantize r = requant;
  for (int64_t i = 0; i < n; ++i) y[i] = requantize(sum[i] / count / scale + zero, r);
}

void dots(const int16_t* x, const int16_t* w, int32_t* sum, int64_t rows, int64_t n) {
  int64_t j = 0;
  for (; j + 4 <= rows; j += 4, w += 4 * n) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int64_t k = 0; k < n; ++k) {
      s0 += x[k] * w[k];
      s1 += x[k] * w[n + k];
      s2 += x[k] * w[2 * n + k];
      s3 += x[k] * w[3 * n + k];
    }
    sum[j] = s0, sum[j + 1] = s1, sum[j + 2] = s2, sum[j + 3] = s3;
  }
  for (; j < rows; ++j, w += n) {
    int32_t s = 0;
    for (int64_t k = 0; k < n; ++k) s += x[k] * w[k];
    sum[j] = s;
  }
}

void add_up(const uint8_t* x, int32_t* sum, int64_t n, const Reading& reading) {
  const Reading r = reading;
  for (int64_t i = 0; i < n; ++i) sum[i] += read(x[i], r);
}

void scale(const int32_t* sum, uint8_t* y, int64_t n, float multiplier, const Requantize& requant) {
  const Requantize r = requant;
  for (int64_t i = 0; i < n; ++i) y[i] = requantize(float(sum[i]) * multiplier, r);
}

void share(const float* x, uint8_t* y, int64_t n, float multiplier, float divisor, const Requantize& requant) {
  const Requantize r = requant;
  const double lo = r.lo, hi = r.hi, factor = multiplier, total = divisor;
  for (int64_t i = 0; i < n; ++i) {
    double quotient = double(x[i]) * factor / total;
    quotient = quotient > lo ? quotient : lo;
    quotient = quotient < hi ? quotient : hi;
    y[i] = uint8_t(int32_t((quotient + kRounder64) - kRounder64) + r.zero);
  }
}

void quantize(const float* x, uint8_t* y, int64_t n, float scale, const Requantize& requant) {
  const Requantize r = requant;
  for (int64_t i = 0; i < n; ++i) {
    float v;
    __builtin_memcpy(&v, x + i, sizeof(v));
    y[i] = requantize(v / scale, r);
  }
}

void quantize_product(const float* x, uint8_t* y, int64_t n, float factor, const Requantize& requant) {
  const Requantize r = requant;
  for (int64_t i = 0; i < n; ++i) {
    float v;
    __builtin_memcpy(&v, x + i, sizeof(v));
    y[i] = requantize(v * factor, r);
  }
}

void dequantize(const uint8_t* x, float* y, int64_t n, float scale, int32_t zero, bool is_signed) {
  const Reading r = Reading::centred(is_signed, zero);
  for (int64_t i = 0; i < n; ++i) {
    const float v = float(read(x[i], r)) * scale;
    __builtin_memcpy(y + i, &v, sizeof(v));
  }
}

void between(const Between& x, const float* left, const float* right, float* sum, int64_t n, const Reading& reading,
             float scale) {
  const Reading r = reading;
  const Between b = x;
  for (int64_t i = 0; i < n; ++i) {
    float total = left[i] * b.above * (float(read(b.above_left[i], r)) * scale);
    total += right[i] * b.above * (float(read(b.above_right[i], r)) * scale);
    total += left[i] * b.below * (float(read(b.below_left[i], r)) * scale);
    total += right[i] * b.below * (float(read(b.below_right[i], r)) * scale);
    sum[i] = total;
  }
}

void lite_between(const Between& x, const float* left, const float* right, uint8_t* y, int64_t n,
                  const Reading& reading) {
  const Reading r = reading;
  const Between b = x;
  const int32_t above = int32_t(b.above), below = int32_t(b.below);
  for (int64_t i = 0; i < n; ++i) {
    const int32_t l = int32_t(left[i]), t = int32_t(right[i]);
    const int32_t top = read(b.above_left[i], r) * l + read(b.above_right[i], r) * t;
    const int32_t bottom = read(b.below_left[i], r) * l + read(b.below_right[i], r) * t;
    y[i] = uint8_t((top * above + bottom * below + (1 << 21)) >> 22);
  }
}

// Calls tile(first, count) for tiles of at most `most` pixels of about one size.
template <class Tile>
inline __attribute__((always_inline)) void each_tile(int pixels, int most, Tile tile) {
  const int count = (pixels + most - 1) / most;
  for (int i = 0, first = 0; i < count; ++i) {
    const int size = (pixels - first) / (count - i);
    tile(first, size);
    first += size;
  }
}

constexpr Kernels make(const char* name, ConvFormat conv, DepthwiseFormat depthwise,
                       void (*conv_pixels)(const ConvPixels&), void (*depthwise_row)(const DepthwiseRow&),
                       int64_t (*multiply)(int64_t)) {
  return {name,          conv,       depthwise,    conv_pixels, nullptr,  nullptr,
          depthwise_row, multiply,   flip,         widen,       max,      table,
          scaled_add,    scaled_mul, real_add,     real_mul,    lite_mul, lite_add,
          add_scaled,    add_pairs,  mean,         dots,        add_up,   scale,
          share,         between,    lite_between, transpose,   quantize, quantize_product,
          dequantize};
}

}  // namespace
}  // namespace furiosa
