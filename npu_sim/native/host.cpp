// The host's steps: see host.h.
#include "host.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "threads.h"

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
void transpose_all(const T* x, T* y, int64_t images, int64_t rows, int64_t columns, const Kernels& kernels,
                   Team& team) {
  const int64_t tile = rows <= 4 ? columns : kTile;
  team.loop(images * columns, images * columns * rows * int64_t(sizeof(T)), [&](int64_t begin, int64_t end, int) {
    while (begin < end) {
      const int64_t image = begin / columns, first = begin % columns, at = image * rows * columns;
      const int64_t count = std::min({columns - first, end - begin, tile});
      transpose_rows(x + at + first, columns, y + at + first * rows, rows, rows, count, kernels);
      begin += count;
    }
  });
}

}  // namespace

void quantize(const float* x, uint8_t* y, int64_t n, float scale, int32_t zero, bool is_signed, bool by_product,
              int threads, const Kernels& kernels) {
  const int lo = is_signed ? -128 : 0;
  const Requantize requantize{float(lo - zero), float(lo + 255 - zero), zero};
  const auto kernel = by_product ? kernels.quantize_product : kernels.quantize;
  const float operand = by_product ? 1.0f / scale : scale;
  const Lease team(threads);
  team->loop(n, 4 * n,
             [&](int64_t begin, int64_t end, int) { kernel(x + begin, y + begin, end - begin, operand, requantize); });
}

void to_signed(const uint8_t* x, uint8_t* y, int64_t n, int threads, const Kernels& kernels) {
  const Lease team(threads);
  team->loop(n, 2 * n, [&](int64_t begin, int64_t end, int) { kernels.flip(x + begin, y + begin, end - begin, 0x80); });
}

void dequantize(const uint8_t* x, float* y, int64_t n, float scale, int32_t zero, bool is_signed, int threads,
                const Kernels& kernels) {
  const Lease team(threads);
  team->loop(n, 4 * n, [&](int64_t begin, int64_t end, int) {
    kernels.dequantize(x + begin, y + begin, end - begin, scale, zero, is_signed);
  });
}

void transpose(const uint8_t* x, uint8_t* y, int64_t images, int64_t rows, int64_t columns, int itemsize, int threads,
               const Kernels& kernels) {
  const Lease team(threads);
  const auto elements = [&](auto element) {
    using T = decltype(element);
    transpose_all(reinterpret_cast<const T*>(x), reinterpret_cast<T*>(y), images, rows, columns, kernels, *team);
  };
  switch (itemsize) {
    case 1: return elements(uint8_t());
    case 2: return elements(Element<2>());
    case 4: return elements(Element<4>());
    default: throw std::invalid_argument("elements must have 1, 2 or 4 bytes");
  }
}

void resize_rows(const uint8_t* x, uint8_t* y, int64_t rows, int64_t from, int64_t to, int threads) {
  const Lease team(threads);
  const int64_t common = std::min(from, to);
  team->loop(rows, rows * to, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      std::memcpy(y + row * to, x + row * from, common);
      std::memset(y + row * to + common, 0, to - common);
    }
  });
}

}  // namespace furiosa
