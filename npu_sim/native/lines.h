// Lines: the elements of a strided run made contiguous, so that inner loops see unit strides only.
#pragma once

#include <cstdint>

namespace furiosa {

constexpr int64_t kLine = 1024;  // elements handled at a time

// The `n` elements at `x`, `step` bytes apart: in place when they touch, else copied to `line`.
inline const uint8_t* gather(const uint8_t* x, int64_t step, int64_t n, uint8_t* line) {
  if (step == 1) return x;
  for (int64_t i = 0; i < n; ++i) line[i] = x[i * step];
  return line;
}

// Where to write `n` elements before `scatter` takes them to `y`.
inline uint8_t* target(uint8_t* y, int64_t step, uint8_t* line) { return step == 1 ? y : line; }

inline void scatter(uint8_t* y, int64_t step, int64_t n, const uint8_t* line) {
  if (step == 1) return;
  for (int64_t i = 0; i < n; ++i) y[i * step] = line[i];
}

}  // namespace furiosa
