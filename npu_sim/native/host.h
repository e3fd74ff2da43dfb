// The host's steps at the border of the NPU: quantize, dequantize, and the change of layout.
#pragma once

#include <cstdint>

#include "variants.h"

namespace furiosa {

// y = saturate(rint(x / scale) + zero), half to even; `by_product`: x * (1 / scale) instead of the quotient.
void quantize(const float* x, uint8_t* y, int64_t n, float scale, int32_t zero, bool is_signed, bool by_product,
              int threads, const Kernels& kernels = best_kernels());

// y = x - 128: uint8 as the int8 of the same values, with a zero point that is less by 128 as well.
void to_signed(const uint8_t* x, uint8_t* y, int64_t n, int threads, const Kernels& kernels = best_kernels());

// y = (x - zero) * scale.
void dequantize(const uint8_t* x, float* y, int64_t n, float scale, int32_t zero, bool is_signed, int threads,
                const Kernels& kernels = best_kernels());

// y[k][column][row] = x[k][row][column] for `images` matrices of elements of 1, 2 or 4 bytes.
void transpose(const uint8_t* x, uint8_t* y, int64_t images, int64_t rows, int64_t columns, int itemsize, int threads,
               const Kernels& kernels = best_kernels());

// Each of `rows` rows of `from` bytes as one of `to` bytes: cut, or with zeros behind.
void resize_rows(const uint8_t* x, uint8_t* y, int64_t rows, int64_t from, int64_t to, int threads);

}  // namespace furiosa
