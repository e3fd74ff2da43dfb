// Transposition of bytes: squares of 16 x 16, and images of three or four planes; see loops.h for the rules.
#pragma once

#include <cstdint>

namespace furiosa {
namespace {

typedef uint8_t Sixteen __attribute__((vector_size(16)));

inline __attribute__((always_inline)) Sixteen sixteen(const uint8_t* x) {
  Sixteen v;
  __builtin_memcpy(&v, x, 16);
  return v;
}

inline __attribute__((always_inline)) Sixteen zip_low(Sixteen a, Sixteen b) {
  return __builtin_shuffle(a, b, Sixteen{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23});
}

inline __attribute__((always_inline)) Sixteen zip_high(Sixteen a, Sixteen b) {
  return __builtin_shuffle(a, b, Sixteen{8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31});
}

void transpose_scalar(const uint8_t* x, int64_t x_step, uint8_t* y, int64_t y_step, int64_t rows, int64_t columns) {
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < rows; ++r) y[c * y_step + r] = x[r * x_step + c];
  }
}

// Four rounds of zipping row i with row i + 8 transpose a square.
inline void transpose_square(const uint8_t* x, int64_t x_step, uint8_t* y, int64_t y_step) {
  Sixteen v[16], w[16];
  for (int r = 0; r < 16; ++r) v[r] = sixteen(x + r * x_step);
  for (int round = 0; round < 4; ++round) {
    for (int r = 0; r < 8; ++r) {
      w[2 * r] = zip_low(v[r], v[r + 8]);
      w[2 * r + 1] = zip_high(v[r], v[r + 8]);
    }
    for (int r = 0; r < 16; ++r) v[r] = w[r];
  }
  for (int r = 0; r < 16; ++r) __builtin_memcpy(y + r * y_step, &v[r], 16);
}

// The first columns of a matrix of three or four rows to pixels without gaps; how many were done. With three rows each
// store of four pixels writes four bytes too many, which the next one mends.
inline int64_t weave(const uint8_t* x, int64_t x_step, uint8_t* y, int64_t rows, int64_t columns) {
  const Sixteen three = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15};
  int64_t c = 0;
  for (; c + 32 <= columns; c += 16) {
    const Sixteen a = sixteen(x + c), b = sixteen(x + x_step + c), d = sixteen(x + 2 * x_step + c);
    const Sixteen e = rows == 4 ? sixteen(x + 3 * x_step + c) : d;
    const Sixteen low = zip_low(a, d), high = zip_high(a, d), low2 = zip_low(b, e), high2 = zip_high(b, e);
    const Sixteen pixels[4] = {zip_low(low, low2), zip_high(low, low2), zip_low(high, high2), zip_high(high, high2)};
    for (int k = 0; k < 4; ++k) {
      const Sixteen out = rows == 4 ? pixels[k] : __builtin_shuffle(pixels[k], three);
      __builtin_memcpy(y + (c + 4 * k) * rows, &out, 16);
    }
  }
  return c;
}

void transpose(const uint8_t* x, int64_t x_step, uint8_t* y, int64_t y_step, int64_t rows, int64_t columns) {
  int64_t r = 0;
  if ((rows == 3 || rows == 4) && y_step == rows) {
    const int64_t done = weave(x, x_step, y, rows, columns);
    return transpose_scalar(x + done, x_step, y + done * y_step, y_step, rows, columns - done);
  }
  for (; r + 16 <= rows; r += 16) {
    int64_t c = 0;
    for (; c + 16 <= columns; c += 16) transpose_square(x + r * x_step + c, x_step, y + c * y_step + r, y_step);
    transpose_scalar(x + r * x_step + c, x_step, y + c * y_step + r, y_step, 16, columns - c);
  }
  transpose_scalar(x + r * x_step, x_step, y + r, y_step, rows - r, columns);
}

}  // namespace
}  // namespace furiosa
