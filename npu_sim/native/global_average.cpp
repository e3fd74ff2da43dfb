// GlobalAveragePool: y = quantize(sum / divisor), real values added up in float32, pixel by pixel or in vectors of
// four; or requantize(sum * (x_scale / (y_scale * divisor))), the sum an exact int32.
#include <algorithm>

#include "lines.h"
#include "steps.h"

namespace furiosa {
namespace {

constexpr int32_t kExact = 0, kVectors = 2;  // Summation
constexpr int kLanes = 4, kSlots = 3 * kLanes + 2 * (kLanes - 1);

// The sums of some channels, in parts that are added up at the end. In vectors of four they are two running vectors
// that take turns, the last one of an odd number, and single values before the first vector and behind the last.
class Parts {
 public:
  // `head` values lie before the first vector; without `vectors` all pixels go to one part.
  Parts(int64_t pixels, int64_t head, bool vectors, int64_t channels)
      : head_(std::min(head, pixels)), vectors_((pixels - head_) / kLanes), one_(!vectors), channels_(channels) {
    for (float* slot : slots_) std::fill(slot, slot + channels, 0.0f);
  }

  float* of(int64_t pixel) { return slots_[one_ ? 0 : slot(pixel)]; }

  const float* sum() {
    for (int64_t i = 0; i < channels_ && !one_; ++i) slots_[0][i] = folded(i);
    return slots_[0];
  }

 private:
  int64_t slot(int64_t pixel) const {
    if (pixel < head_) return 3 * kLanes + pixel;
    const int64_t place = pixel - head_, vector = place / kLanes;
    if (vector >= vectors_) return 4 * kLanes - 1 + place - vectors_ * kLanes;
    const bool alone = vector > 0 && vector == vectors_ - 1 && vectors_ % 2 == 1;
    return (alone ? 2 : vector % 2) * kLanes + place % kLanes;
  }

  float folded(int64_t i) const {
    float lanes[kLanes];
    for (int k = 0; k < kLanes; ++k) lanes[k] = slots_[k][i] + slots_[kLanes + k][i] + slots_[2 * kLanes + k][i];
    float sum = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
    for (int single = 3 * kLanes; single < kSlots; ++single) sum += slots_[single][i];
    return sum;
  }

  int64_t head_, vectors_;
  bool one_;
  int64_t channels_;
  float slots_[kSlots][kLine];
};

// Calls add(pixel, line) for each pixel with the `n` channels from `x` on, `step` bytes apart.
template <class Add>
void each_pixel(const View& view, const uint8_t* x, int64_t step, int64_t n, Add&& add) {
  uint8_t line[kLine];
  for (int64_t h = 0, pixel = 0; h < view.shape[1]; ++h) {
    for (int64_t w = 0; w < view.shape[2]; ++w, ++pixel)
      add(pixel, gather(x + h * view.strides[1] + w * view.strides[2], step, n, line));
  }
}

// `n` channels of one image, at most kLine.
void exact(const GlobalAveragePool& inst, const Kernels& kernels, const uint8_t* x, uint8_t* y, int64_t n) {
  const int64_t y_step = inst.y.strides[3];
  const Reading reading = Reading::centred(inst.x_type, inst.x_zero);
  int32_t sum[kLine] = {};
  uint8_t to[kLine];
  each_pixel(inst.x, x, inst.x.strides[3], n,
             [&](int64_t, const uint8_t* line) { kernels.add_up(line, sum, n, reading); });
  kernels.scale(sum, target(y, y_step, to), n, inst.x_scale / (inst.y_scale * float(inst.divisor)),
                whole_range(inst.y_type, inst.y_zero));
  scatter(y, y_step, n, to);
}

// The same of real values; `row` is that of the first channel. Channels whose rows begin at one distance from a
// boundary of 16 bytes are added up together: those `period` apart.
void real(const GlobalAveragePool& inst, const Kernels& kernels, const uint8_t* x, uint8_t* y, int64_t n, int64_t row) {
  const int64_t pixels = int64_t(inst.x.shape[1]) * inst.x.shape[2];
  const bool vectors = inst.summation == kVectors;
  const int64_t period = !vectors || pixels % 4 == 0 ? 1 : pixels % 4 == 2 ? 2 : 4;
  const Reading reading = Reading::centred(inst.x_type, inst.x_zero);
  for (int64_t first = 0; first < std::min(period, n); ++first) {
    const int64_t x_step = period * inst.x.strides[3], y_step = period * inst.y.strides[3];
    const int64_t channels = ceil_div(n - first, period), head = (kLanes - (row + first) * pixels % kLanes) % kLanes;
    Parts parts(pixels, head, vectors, channels);
    each_pixel(inst.x, x + first * inst.x.strides[3], x_step, channels, [&](int64_t pixel, const uint8_t* line) {
      kernels.add_scaled(line, parts.of(pixel), channels, reading, inst.x_scale);
    });
    uint8_t to[kLine], *begin = y + first * inst.y.strides[3];
    kernels.mean(parts.sum(), target(begin, y_step, to), channels, float(inst.divisor), inst.y_scale, 0.0f,
                 whole_range(inst.y_type, inst.y_zero));
    scatter(begin, y_step, channels, to);
  }
}

}  // namespace

Step prepare(const GlobalAveragePool& inst, Setup& setup) {
  const Kernels& kernels = setup.kernels;
  const View &x = inst.x, &y = inst.y;
  const int64_t lines = ceil_div(y.shape[3], kLine);
  const int64_t work = int64_t(x.shape[0]) * x.shape[1] * x.shape[2] * x.shape[3];
  const auto tasks = [inst, lines, &kernels](const Run& run, int64_t begin, int64_t end, uint8_t*) {
    const View &x = inst.x, &y = inst.y;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t n = task / lines, c = task % lines * kLine, channels = std::min(kLine, y.shape[3] - c);
      const uint8_t* from = run.sram + x.address + n * x.strides[0] + c * x.strides[3];
      uint8_t* to = run.sram + y.address + n * y.strides[0] + c * y.strides[3];
      if (inst.summation == kExact) exact(inst, kernels, from, to, channels);
      else real(inst, kernels, from, to, channels, inst.rows[0] + n * inst.rows[1] + c);
    }
  };
  return Task{y.shape[0] * lines, work, tasks};
}

}  // namespace furiosa
