// The host's steps: see host.h.
#include "host.h"

#include <algorithm>
#include <stdexcept>

#include "threads.h"
#include "variants.h"

namespace furiosa {
namespace {

constexpr int64_t kTile = 32;  // rows and columns of a transposed tile stay in the first-level cache

template <class T>
void transpose_rows(const T* x, T* y, int64_t rows, int64_t columns, int64_t begin, int64_t end) {
  for (int64_t c0 = begin; c0 < end; c0 += kTile) {
    const int64_t c1 = std::min(c0 + kTile, end);
    for (int64_t r0 = 0; r0 < rows; r0 += kTile) {
      const int64_t r1 = std::min(r0 + kTile, rows);
      for (int64_t c = c0; c < c1; ++c) {
        for (int64_t r = r0; r < r1; ++r) y[c * rows + r] = x[r * columns + c];
      }
    }
  }
}

// Work is split over the columns of all images.
template <class T>
void transpose_all(const T* x, T* y, int64_t images, int64_t rows, int64_t columns, Team& team) {
  team.loop(images * columns, images * columns * rows * int64_t(sizeof(T)), [&](int64_t begin, int64_t end, int) {
    while (begin < end) {
      const int64_t image = begin / columns, first = begin % columns;
      const int64_t count = std::min(columns - first, end - begin);
      const int64_t at = image * rows * columns;
      transpose_rows(x + at, y + at, rows, columns, first, first + count);
      begin += count;
    }
  });
}

}  // namespace

void quantize(const float* x, uint8_t* y, int64_t n, float scale, int32_t zero, bool is_signed, int threads) {
  const Kernels& kernels = *available_kernels().back();
  const int lo = is_signed ? -128 : 0;
  const Requantize requantize{float(lo - zero), float(lo + 255 - zero), zero};
  const Lease team(threads);
  team->loop(n, 4 * n, [&](int64_t begin, int64_t end, int) {
    kernels.quantize(x + begin, y + begin, end - begin, scale, requantize);
  });
}

void dequantize(const uint8_t* x, float* y, int64_t n, float scale, int32_t zero, bool is_signed, int threads) {
  const Kernels& kernels = *available_kernels().back();
  const Lease team(threads);
  team->loop(n, 4 * n, [&](int64_t begin, int64_t end, int) {
    kernels.dequantize(x + begin, y + begin, end - begin, scale, zero, is_signed);
  });
}

void transpose(const uint8_t* x, uint8_t* y, int64_t images, int64_t rows, int64_t columns, int itemsize,
               int threads) {
  const Lease team(threads);
  switch (itemsize) {
    case 1: return transpose_all(x, y, images, rows, columns, *team);
    case 2:
      return transpose_all(reinterpret_cast<const uint16_t*>(x), reinterpret_cast<uint16_t*>(y), images, rows, columns,
                           *team);
    case 4:
      return transpose_all(reinterpret_cast<const uint32_t*>(x), reinterpret_cast<uint32_t*>(y), images, rows, columns,
                           *team);
    default: throw std::invalid_argument("elements must have 1, 2 or 4 bytes");
  }
}

}  // namespace furiosa
