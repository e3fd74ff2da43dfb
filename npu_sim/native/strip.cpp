// Strips: see strip.h.
#include "strip.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace furiosa {

Strip::Strip(const Convolution& inst, int columns, bool wide, int repeat, const Kernels& kernels)
    : inst_(inst), kernels_(&kernels), wide_(wide), repeat_(repeat) {
  width_ = (columns - 1) * inst.strides[1] + (inst.kernel[1] - 1) * inst.dilations[1] + 1;
  pixel_ = int64_t(inst.x.shape[3]) * repeat * (wide ? 2 : 1);
  row_ = pixel_ * width_;
  in_place_ = !wide && repeat == 1 && inst.x_type == 0 && inst.x.strides[1] > 0 && covered() && !gaps();
  if (in_place_) {
    pixel_ = inst.x.strides[2];
    row_ = inst.x.strides[1];
  }
  if (bytes(1) > INT32_MAX) throw std::invalid_argument("the rows that an output of a convolution reads are too large");
}

// Whether no window reaches into the padding.
bool Strip::covered() const {
  for (int axis = 0; axis < 2; ++axis) {
    const int last =
        (inst_.y.shape[1 + axis] - 1) * inst_.strides[axis] + (inst_.kernel[axis] - 1) * inst_.dilations[axis];
    if (inst_.pads[axis] != 0 || last >= inst_.x.shape[1 + axis]) return false;
  }
  return true;
}

// Whether there are pixels between those that 1x1 windows read, or rows between theirs.
bool Strip::gaps() const {
  const View& x = inst_.x;
  return inst_.kernel[0] == 1 && inst_.kernel[1] == 1 && x.strides[1] != x.shape[2] * x.strides[2];
}

const uint8_t* Strip::make(const Run& run, const Band& band, uint8_t* scratch) const {
  const View& x = inst_.x;
  const uint8_t* image = run.sram + x.address + int64_t(band.image) * x.strides[0];
  if (in_place_) return image + int64_t(band.first) * inst_.strides[0] * x.strides[1];
  uint8_t* strip = scratch;
  const int border = wide_ ? 0 : (inst_.x_zero & 0xFF) ^ (inst_.x_type ? 0x80 : 0);
  const int top = band.first * inst_.strides[0] - inst_.pads[0], left = inst_.pads[1];
  const int before = std::min(left, width_), after = std::max(width_ - left - x.shape[2], 0);
  for (int row = 0; row < rows(band.count); ++row, strip += row_) {
    const int h = top + row;
    if (h < 0 || h >= x.shape[1]) {
      std::memset(strip, border, size_t(row_));
      continue;
    }
    std::memset(strip, border, size_t(before * pixel_));
    fill_row(image + int64_t(h) * x.strides[1], strip + before * pixel_);
    std::memset(strip + row_ - after * pixel_, border, size_t(after * pixel_));
  }
  return scratch;
}

void Strip::fill_row(const uint8_t* x, uint8_t* out) const {
  const int64_t channels = inst_.x.shape[3], step = inst_.x.strides[2];
  const int pixels = std::min(inst_.x.shape[2], width_ - inst_.pads[1]);
  if (repeat_ == 1 && step == channels) {
    if (pixels > 0) convert(x, out, pixels * channels);
    return;
  }
  for (int pixel = 0; pixel < pixels; ++pixel, x += step, out += pixel_) {
    if (repeat_ == 1) convert(x, out, channels);
    else convert_repeated(x, out);
  }
}

void Strip::convert(const uint8_t* x, uint8_t* out, int64_t count) const {
  if (wide_) kernels_->widen(x, reinterpret_cast<int16_t*>(out), count, inst_.x_type != 0, inst_.x_zero);
  else kernels_->flip(x, out, count, inst_.x_type ? 0x80 : 0);
}

void Strip::convert_repeated(const uint8_t* x, uint8_t* out) const {
  const uint8_t mask = inst_.x_type ? 0x80 : 0;
  int16_t* wide = reinterpret_cast<int16_t*>(out);
  for (int c = 0; c < inst_.x.shape[3]; ++c) {
    const int value = (inst_.x_type ? int(int8_t(x[c])) : int(x[c])) - inst_.x_zero;
    for (int k = 0; k < repeat_; ++k) {
      if (wide_) *wide++ = int16_t(value);
      else *out++ = x[c] ^ mask;
    }
  }
}

}  // namespace furiosa
