// The host's steps at the border of the NPU, as loops: quantize, dequantize, and the change of layout.
#pragma once

#include <cstdint>

#include "steps.h"
#include "variants.h"

namespace furiosa {

// y = saturate(rint(x / scale) + zero), half to even; `by_product`: x * (1 / scale) instead of the quotient.
Loop quantize(Place x, Place y, int64_t n, float scale, int32_t zero, bool is_signed, bool by_product,
              const Kernels& kernels = best_kernels());

// y = x - 128: uint8 as the int8 of the same values, with a zero point that is less by 128 as well.
Loop to_signed(Place x, Place y, int64_t n, const Kernels& kernels = best_kernels());

// y = (x - zero) * scale.
Loop dequantize(Place x, Place y, int64_t n, float scale, int32_t zero, bool is_signed,
                const Kernels& kernels = best_kernels());

// y[k][column][row] = x[k][row][column] for `images` matrices of elements of 1, 2 or 4 bytes.
Loop transpose(Place x, Place y, int64_t images, int64_t rows, int64_t columns, int itemsize,
               const Kernels& kernels = best_kernels());

// Each of `rows` rows of `from` bytes as one of `to` bytes: cut, or with zeros behind.
Loop resize_rows(Place x, Place y, int64_t rows, int64_t from, int64_t to);

}  // namespace furiosa
