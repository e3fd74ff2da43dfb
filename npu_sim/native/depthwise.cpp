// DepthwiseConv2d: rows of pixels, channels in vectors, activations widened in strips.
#include <algorithm>
#include <cstring>
#include <memory>

#include "parts.h"
#include "steps.h"
#include "strip.h"

namespace furiosa {
namespace {

constexpr int64_t kStripBytes = 128 << 10;
constexpr int kTasksPerThread = 4;

struct Packed {
  int8_t* weights;
  int32_t* bias;
  float* multipliers;
  bool bounded;  // see ConvPixels
};

class Plan {
 public:
  Plan(const DepthwiseConv2d& inst, const Kernels& kernels)
      : inst_(inst),
        kernels_(kernels),
        format_(kernels.depthwise),
        parts_(inst.w_zero),
        strip_(inst, inst.y.shape[2], format_.wide, inst.y.shape[3] / inst.x.shape[3], kernels) {
    for (int part = 0; part < parts_.count(); ++part) {
      for (int row = 0; row < inst.kernel[0]; ++row) rows_.push_back(row * inst.dilations[0] * strip_.row_bytes());
    }
    while (rows_.size() % size_t(format_.rows) != 0) rows_.push_back(0);  // meets weights of zero
  }

  Packed pack(const uint8_t* weights, const uint8_t* bias, const uint8_t* multipliers, Slab& slab) const;
  Task task(const Packed& packed, int threads) const;
  Rows rows(const Packed& packed) const;
  int64_t taps() const { return int64_t(inst_.kernel[0]) * inst_.kernel[1]; }

 private:
  int64_t work() const {
    return int64_t(inst_.y.shape[0]) * inst_.y.shape[1] * inst_.y.shape[2] * inst_.y.shape[3] * taps() / 4;
  }
  Bands bands(int threads) const;
  void compute(const Packed& packed, const Run& run, const Band& band, uint8_t* scratch) const;

  DepthwiseConv2d inst_;
  const Kernels& kernels_;
  DepthwiseFormat format_;
  Parts parts_;  // what the weights are the sum of: the kernel's rows come once for each
  Strip strip_;
  std::vector<int64_t> rows_;  // see DepthwiseRow
};

Packed Plan::pack(const uint8_t* weights, const uint8_t* bias, const uint8_t* multipliers, Slab& slab) const {
  const int channels = inst_.y.shape[3], width = format_.channels, blocks = (channels + width - 1) / width;
  const int64_t block_bytes = int64_t(rows_.size()) * inst_.kernel[1] * width;
  const int32_t zero = format_.wide ? 0 : inst_.x_zero + (inst_.x_type ? 128 : 0);
  const size_t padded = size_t(blocks) * size_t(width);
  Packed packed{slab.take<int8_t>(size_t(blocks * block_bytes)), slab.take<int32_t>(padded), slab.take<float>(padded),
                true};
  for (int k = 0; k < channels; ++k) {
    const int lanes = format_.lanes, position = lanes ? lane_order(k % width, width / (4 * lanes), lanes) : k % width;
    int8_t* block = packed.weights + k / width * block_bytes;
    int32_t sum = 0;
    for (int tap = 0; tap < taps() * parts_.count(); ++tap) {
      const int row = tap / inst_.kernel[1], column = tap % inst_.kernel[1];
      const int64_t step = int64_t(row / format_.rows) * inst_.kernel[1] + column;
      const int8_t weight = tap < taps() ? int8_t(weights[int64_t(tap) * channels + k]) : parts_.rest();
      block[(step * width + position) * format_.rows + row % format_.rows] = weight;
      sum += weight;
    }
    uint32_t start;
    std::memcpy(&start, bias + 4 * k, 4);
    const int64_t at = int64_t(k / width) * width + position;
    packed.bias[at] = int32_t(start - uint32_t(zero) * uint32_t(sum));
    float& multiplier = packed.multipliers[at];
    std::memcpy(&multiplier, multipliers + 4 * k, 4);
    packed.bounded = packed.bounded && multiplier > -1.0f && multiplier < 1.0f;
  }
  return packed;
}

Task Plan::task(const Packed& packed, int threads) const {
  const auto [bands, scratch] = this->bands(threads);
  const auto tasks = [this, packed, bands = bands](const Run& run, int64_t begin, int64_t end, uint8_t* scratch) {
    for (int64_t task = begin; task < end; ++task) compute(packed, run, Band(inst_.y, task, bands), scratch);
  };
  return {inst_.y.shape[0] * bands, work(), tasks, scratch};
}

Rows Plan::rows(const Packed& packed) const {
  return {inst_.y,
          {},
          {inst_.x},
          work(),
          [this](int threads) { return bands(threads); },
          [this, packed](const Run& run, const Band& band, uint8_t* scratch) { compute(packed, run, band, scratch); }};
}

Bands Plan::bands(int threads) const {
  const int64_t images = inst_.y.shape[0], height = inst_.y.shape[1];
  const int64_t step = strip_.row_bytes() * inst_.strides[0];
  const int64_t fitting = std::max<int64_t>(1, (kStripBytes - strip_.bytes(1)) / step);
  const int64_t fair = ceil_div(images * height, int64_t(threads) * kTasksPerThread);
  const int64_t rows = std::min({height, fitting, fair});
  return {ceil_div(height, rows), strip_.scratch(rows)};
}

void Plan::compute(const Packed& packed, const Run& run, const Band& band, uint8_t* scratch) const {
  const View& y = inst_.y;
  DepthwiseRow row;
  row.x = strip_.make(run, band, scratch);
  row.y = run.sram + band.start;
  row.x_step = inst_.strides[1] * strip_.pixel_bytes();
  row.column_step = inst_.dilations[1] * strip_.pixel_bytes();
  row.rows = rows_.data();
  row.row_count = int(rows_.size());
  row.columns = inst_.kernel[1];
  row.y_step = y.strides[2];
  row.pixels = y.shape[2];
  row.channels = y.shape[3];
  row.weights = packed.weights;
  row.bias = packed.bias;
  row.multipliers = packed.multipliers;
  row.bounded = packed.bounded;
  row.requantize = {float(inst_.lo - inst_.y_zero), float(inst_.hi - inst_.y_zero), inst_.y_zero};
  for (int index = 0; index < band.count; ++index) {
    kernels_.depthwise_row(row);
    row.x += inst_.strides[0] * strip_.row_bytes();
    row.y += y.strides[1];
  }
}

}  // namespace

Step prepare(const DepthwiseConv2d& inst, Setup& setup) {
  auto plan = std::make_shared<const Plan>(inst, setup.kernels);
  const int channels = inst.y.shape[3];
  const uint8_t* weights = setup.constants.find(inst.weights, weight_bytes(inst));
  const uint8_t* bias = setup.constants.find(inst.bias, 4 * channels);
  const uint8_t* multipliers = setup.constants.find(inst.multipliers, multiplier_bytes(inst));
  if (weights != nullptr && bias != nullptr && multipliers != nullptr) {
    const Packed packed = plan->pack(weights, bias, multipliers, setup.slab);
    return {[plan, packed](int threads) { return plan->task(packed, threads); }, plan->rows(packed)};
  }
  return packing(plan, inst, weights, bias, multipliers);
}

}  // namespace furiosa
