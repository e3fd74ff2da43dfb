// MaxPool2d: the largest of the rows of a window, then of the columns of the result.
#include <algorithm>
#include <vector>

#include "lines.h"
#include "steps.h"
#include "windows.h"

namespace furiosa {
namespace {

class Plan {
 public:
  Plan(const MaxPool2d& inst, const Kernels& kernels)
      : inst_(inst),
        kernels_(kernels),
        channels_(inst.y.shape[3]),
        row_bytes_(inst.x.shape[2] * channels_),
        dense_(inst.x.strides[3] == 1 && (inst.x.strides[2] == channels_ || inst.x.shape[2] == 1)) {}

  Task task() const;
  Rows rows() const;

 private:
  int64_t work() const {
    const View& y = inst_.y;
    return int64_t(y.shape[0]) * y.shape[1] * y.shape[2] * channels_ * (inst_.kernel[0] + inst_.kernel[1]);
  }
  int64_t scratch() const { return (dense_ ? 1 : 1 + inst_.kernel[0]) * row_bytes_ + channels_; }
  void compute(const Run& run, const Band& band, uint8_t* scratch) const;
  const uint8_t* rows(const uint8_t* image, const Taps& taps, int top, uint8_t* scratch) const;
  void columns(const uint8_t* line, uint8_t* y, uint8_t* scratch) const;
  void largest(const uint8_t* x, int64_t step, int count, uint8_t* y, int64_t n) const;

  MaxPool2d inst_;
  const Kernels& kernels_;
  int64_t channels_;
  int64_t row_bytes_;
  bool dense_;
};

Task Plan::task() const {
  const auto rows = [plan = *this](const Run& run, int64_t begin, int64_t end, uint8_t* scratch) {
    const View& y = plan.inst_.y;
    for (int64_t row = begin; row < end; ++row) plan.compute(run, Band(y, row, y.shape[1]), scratch);
  };
  return {int64_t(inst_.y.shape[0]) * inst_.y.shape[1], work(), rows, scratch()};
}

Rows Plan::rows() const {
  return {inst_.y,
          {},
          {inst_.x},
          work(),
          [scratch = scratch()](int) { return Bands{1, scratch}; },
          [plan = *this](const Run& run, const Band& band, uint8_t* scratch) { plan.compute(run, band, scratch); }};
}

void Plan::compute(const Run& run, const Band& band, uint8_t* scratch) const {
  const View& x = inst_.x;
  const uint8_t* image = run.sram + x.address + band.image * int64_t(x.strides[0]);
  for (int index = 0; index < band.count; ++index) {
    const int top = (band.first + index) * inst_.strides[0] - inst_.pads[0];
    const Taps taps(top, inst_.kernel[0], inst_.dilations[0], 0, x.shape[1]);
    const uint8_t* line = rows(image, taps, top, scratch + channels_);
    columns(line, run.sram + band.start + index * inst_.y.strides[1], scratch);
  }
}

// The largest of some rows of the image, dense.
const uint8_t* Plan::rows(const uint8_t* image, const Taps& taps, int top, uint8_t* scratch) const {
  const int64_t step = int64_t(inst_.dilations[0]) * inst_.x.strides[1];
  const uint8_t* from = image + int64_t(top) * inst_.x.strides[1] + taps.first * step;
  if (dense_) {
    if (taps.count() == 1) return from;
    largest(from, step, taps.count(), scratch, row_bytes_);
    return scratch;
  }
  for (int tap = 0; tap < taps.count(); ++tap, from += step) {
    uint8_t* to = scratch + (1 + tap) * row_bytes_;
    for (int w = 0; w < inst_.x.shape[2]; ++w) {
      for (int64_t c = 0; c < channels_; ++c) *to++ = from[int64_t(w) * inst_.x.strides[2] + c * inst_.x.strides[3]];
    }
  }
  largest(scratch + row_bytes_, row_bytes_, taps.count(), scratch, row_bytes_);
  return scratch;
}

void Plan::columns(const uint8_t* line, uint8_t* y, uint8_t* scratch) const {
  const int64_t step = inst_.dilations[1] * channels_;
  for (int q = 0; q < inst_.y.shape[2]; ++q, y += inst_.y.strides[2]) {
    const int left = q * inst_.strides[1] - inst_.pads[1];
    const Taps taps(left, inst_.kernel[1], inst_.dilations[1], 0, inst_.x.shape[2]);
    uint8_t* to = target(y, inst_.y.strides[3], scratch);
    largest(line + left * channels_ + taps.first * step, step, taps.count(), to, channels_);
    scatter(y, inst_.y.strides[3], channels_, to);
  }
}

// The largest of `count` runs of `n` bytes, `step` apart.
void Plan::largest(const uint8_t* x, int64_t step, int count, uint8_t* y, int64_t n) const {
  constexpr int kMost = 32;
  const uint8_t* runs[kMost];
  for (int done = 0; done < count;) {
    int taken = 0;
    if (done > 0) runs[taken++] = y;
    for (; taken < kMost && done < count; ++done) runs[taken++] = x + done * step;
    kernels_.max(runs, taken, y, n, inst_.type != 0);
  }
}

}  // namespace

Step prepare(const MaxPool2d& inst, Setup& setup) {
  const Plan plan(inst, setup.kernels);
  return {plan.task(), plan.rows()};
}

}  // namespace furiosa
