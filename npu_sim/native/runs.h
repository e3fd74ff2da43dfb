// Runs: the pixels of a strip's outputs in the order in which the convolution kernels take them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "instructions.h"
#include "kernels.h"
#include "steps.h"
#include "strip.h"

namespace furiosa {

// Runs of one length, of at most so many pixels: each row of outputs by itself, or all of them as one long row. In
// that, windows that begin in one row and end in the next lie between the rows; nobody wants their results. The last
// run of a row ends where the row does and may overlap the one before.
class Runs {
 public:
  Runs(const Convolution& inst, const Strip& strip, int rows, int most)
      : x_step_(inst.strides[1] * strip.pixel_bytes()),
        x_row_(inst.strides[0] * strip.row_bytes()),
        y_step_(inst.y.strides[2]),
        y_row_(inst.y.strides[1]),
        columns_(inst.y.shape[2]),
        length_(columns_),
        pitch_(columns_) {
    const int64_t pitch = x_step_ > 0 ? x_row_ / x_step_ : 0, together = (rows - 1) * pitch + columns_;
    if (x_step_ > 0 && x_row_ % x_step_ == 0 && cost(together, most) < rows * cost(columns_, most)) {
      pitch_ = int(pitch);
      length_ = together;
      rows = 1;
    }
    a_row_ = int(ceil_div(length_, most));
    pixels_ = int(ceil_div(length_, a_row_));
    count_ = rows * a_row_;
  }

  int count() const { return count_; }
  int pixels() const { return pixels_; }

  // Points at the runs from `first` to `end`.
  void point(ConvPixels& work, const uint8_t* strip, uint8_t* y, int first, int end) const {
    work.x_step = x_step_;
    work.y_step = y_step_;
    work.y_gap = y_row_ - pitch_ * y_step_;
    work.columns = columns_;
    work.pitch = pitch_;
    work.pixels = pixels_;
    work.runs = end - first;
    int row = first / a_row_, index = first % a_row_;
    for (int run = 0; run < work.runs; ++run) {
      const int64_t at = std::min(int64_t(index) * pixels_, length_ - pixels_);
      work.column[run] = int(at % pitch_);
      work.x[run] = strip + row * x_row_ + at * x_step_;
      work.y[run] = y + (row + at / pitch_) * y_row_ + work.column[run] * y_step_;
      if (++index == a_row_) ++row, index = 0;
    }
  }

 private:
  // In pixels: a run costs at least the reading of its weights.
  static int64_t cost(int64_t length, int most) {
    constexpr int64_t kLeast = 14;
    const int64_t runs = ceil_div(length, most);
    return runs * std::max(std::min<int64_t>(kLeast, most), ceil_div(length, runs));
  }

  int64_t x_step_, x_row_;  // from pixel to pixel, from row to row
  int64_t y_step_, y_row_;
  int columns_;
  int64_t length_;  // of what counts as a row, in pixels
  int pitch_;       // pixels from a row of outputs to the next
  int a_row_;       // runs of a row
  int pixels_;      // of a run
  int count_;
};

}  // namespace furiosa
