// Strips: some rows of a tensor in the form that the convolution kernels read, with their padding.
#pragma once

#include <cstdint>

#include "instructions.h"
#include "kernels.h"
#include "steps.h"

namespace furiosa {

class Strip {
 public:
  // `wide` strips hold int16 with the zero point subtracted, others bytes made unsigned. Each channel of `x` comes
  // `repeat` times. A strip's rows span what `columns` outputs read. Where the tensor has that form already, strips are
  // the tensor itself.
  Strip(const Convolution& inst, int columns, bool wide, int repeat, const Kernels& kernels);

  int64_t pixel_bytes() const { return pixel_; }
  int64_t row_bytes() const { return row_; }
  // Rows of `x` that `outputs` rows of outputs read.
  int rows(int outputs) const {
    return (outputs - 1) * inst_.strides[0] + (inst_.kernel[0] - 1) * inst_.dilations[0] + 1;
  }
  // What `outputs` rows of outputs read.
  int64_t bytes(int outputs) const { return rows(outputs) * row_; }
  // Scratch memory for them.
  int64_t scratch(int64_t outputs) const { return in_place_ ? 0 : bytes(int(outputs)); }

  // The strip for a band of outputs, made in scratch memory if need be.
  const uint8_t* make(const Run& run, const Band& band, uint8_t* scratch) const;

 private:
  bool covered() const;
  bool gaps() const;
  void fill_row(const uint8_t* x, uint8_t* out) const;
  void convert(const uint8_t* x, uint8_t* out, int64_t count) const;
  void convert_repeated(const uint8_t* x, uint8_t* out) const;

  Convolution inst_;
  const Kernels* kernels_;
  bool wide_;
  bool in_place_;
  int repeat_;
  int width_;
  int64_t pixel_;
  int64_t row_;
};

}  // namespace furiosa
