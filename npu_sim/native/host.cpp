// The host's steps: see host.h.
#include "host.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace furiosa {
namespace {

constexpr int64_t kTile = 64;  // columns that are done together: their lines stay in the first-level cache

template <class T>
void transpose_rows(const T* x, int64_t x_step, T* y, int64_t y_step, int64_t rows, int64_t columns, const Kernels&) {
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < rows; ++r) y[c * y_step + r] = x[r * x_step + c];
  }
}

void transpose_rows(const uint8_t* x, int64_t x_step, uint8_t* y, int64_t y_step, int64_t rows, int64_t columns,
                    const Kernels& kernels) {
  kernels.transpose(x, x_step, y, y_step, rows, columns);
}

// Of any type; a caller's memory need not be aligned.
template <int Bytes>
struct Element {
  uint8_t bytes[Bytes];
};

// Work is split over the columns of all images.
template <class T>
Loop transpose_all(Place x, Place y, int64_t images, int64_t rows, int64_t columns, const Kernels& kernels) {
  const int64_t tile = rows <= 4 ? columns : kTile;
  const auto part = [=, &kernels](int64_t begin, int64_t end, uint8_t*) {
    const T* from = reinterpret_cast<const T*>(*x);
    T* to = reinterpret_cast<T*>(*y);
    while (begin < end) {
      const int64_t image = begin / columns, first = begin % columns, at = image * rows * columns;
      const int64_t count = std::min({columns - first, end - begin, tile});
      transpose_rows(from + at + first, columns, to + at + first * rows, rows, rows, count, kernels);
      begin += count;
    }
  };
  return {images * columns, images * columns * rows * int64_t(sizeof(T)), part};
}

}  // namespace

Loop quantize(Place x, Place y, int64_t n, float scale, int32_t zero, bool is_signed, bool by_product,
              const Kernels& kernels) {
  const int lo = is_signed ? -128 : 0;
  const Requantize requantize{float(lo - zero), float(lo + 255 - zero), zero};
  const auto kernel = by_product ? kernels.quantize_product : kernels.quantize;
  const float operand = by_product ? 1.0f / scale : scale;
  return {n, 4 * n, [=](int64_t begin, int64_t end, uint8_t*) {
            kernel(reinterpret_cast<const float*>(*x) + begin, *y + begin, end - begin, operand, requantize);
          }};
}

Loop to_signed(Place x, Place y, int64_t n, const Kernels& kernels) {
  return {n, 2 * n, [=, &kernels](int64_t begin, int64_t end, uint8_t*) {
            kernels.flip(*x + begin, *y + begin, end - begin, 0x80);
          }};
}

Loop dequantize(Place x, Place y, int64_t n, float scale, int32_t zero, bool is_signed, const Kernels& kernels) {
  return {n, 4 * n, [=, &kernels](int64_t begin, int64_t end, uint8_t*) {
            kernels.dequantize(*x + begin, reinterpret_cast<float*>(*y) + begin, end - begin, scale, zero, is_signed);
          }};
}

Loop transpose(Place x, Place y, int64_t images, int64_t rows, int64_t columns, int itemsize, const Kernels& kernels) {
  switch (itemsize) {
    case 1: return transpose_all<uint8_t>(x, y, images, rows, columns, kernels);
    case 2: return transpose_all<Element<2>>(x, y, images, rows, columns, kernels);
    case 4: return transpose_all<Element<4>>(x, y, images, rows, columns, kernels);
    default: throw std::invalid_argument("elements must have 1, 2 or 4 bytes");
  }
}

Loop resize_rows(Place x, Place y, int64_t rows, int64_t from, int64_t to) {
  const int64_t common = std::min(from, to);
  return {rows, rows * to, [=](int64_t begin, int64_t end, uint8_t*) {
            for (int64_t row = begin; row < end; ++row) {
              std::memcpy(*y + row * to, *x + row * from, size_t(common));
              std::memset(*y + row * to + common, 0, size_t(to - common));
            }
          }};
}

}  // namespace furiosa
