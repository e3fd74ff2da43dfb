// Inner loops in vector types of the compiler, for variants with wide vectors; see loops.h for its rules.
#pragma once

#include "loops.h"

namespace furiosa {
namespace {

constexpr int kLanes = 8;

typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));
typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef int16_t Shorts __attribute__((vector_size(kLanes * 2)));
typedef int8_t Bytes __attribute__((vector_size(kLanes)));

template <class Vector, class T>
inline __attribute__((always_inline)) Vector load(const T* from) {
  Vector v;
  __builtin_memcpy(&v, from, sizeof(v));
  return v;
}

inline __attribute__((always_inline)) Bytes requantize(Floats v, const Requantize& r) {
  const Floats lo = r.lo - Floats{}, hi = r.hi - Floats{};
  v = v > lo ? v : lo;
  v = v < hi ? v : hi;
  const Ints rounded = __builtin_convertvector((v + kRounder) - kRounder, Ints) + r.zero;
  return __builtin_convertvector(rounded, Bytes);
}

inline __attribute__((always_inline)) void store(uint8_t* y, Bytes v, int n) {
  if (n >= kLanes) __builtin_memcpy(y, &v, kLanes);
  else __builtin_memcpy(y, &v, size_t(n));
}

// Pixels of eight channels.
template <int Pixels>
inline __attribute__((always_inline)) void depthwise_pixels(const DepthwiseRow& row, int pixel, int channel) {
  Ints sum[Pixels];
  for (int p = 0; p < Pixels; ++p) sum[p] = load<Ints>(row.bias + channel);
  const int8_t* weights = row.weights + int64_t(channel) * row.kernel[0] * row.kernel[1];
  for (int r = 0; r < row.kernel[0]; ++r) {
    const uint8_t* x = row.x + pixel * row.x_step + r * row.row_step + 2 * channel;
    for (int c = 0; c < row.kernel[1]; ++c, x += row.column_step, weights += kLanes) {
      const Ints w = __builtin_convertvector(load<Bytes>(weights), Ints);
      for (int p = 0; p < Pixels; ++p) {
        sum[p] += __builtin_convertvector(load<Shorts>(x + p * row.x_step), Ints) * w;
      }
    }
  }
  const Floats m = load<Floats>(row.multipliers + channel);
  for (int p = 0; p < Pixels; ++p) {
    const Bytes y = requantize(__builtin_convertvector(sum[p], Floats) * m, row.requantize);
    store(row.y + (pixel + p) * row.y_step + channel, y, row.channels - channel);
  }
}

void depthwise_row(const DepthwiseRow& row) {
  for (int channel = 0; channel < row.channels; channel += kLanes) {
    int pixel = 0;
    for (; pixel + 4 <= row.pixels; pixel += 4) depthwise_pixels<4>(row, pixel, channel);
    for (; pixel < row.pixels; ++pixel) depthwise_pixels<1>(row, pixel, channel);
  }
}

}  // namespace
}  // namespace furiosa
