// DepthwiseConv2d: rows of pixels, channels in vectors, activations widened in strips.
#include <algorithm>
#include <cstring>
#include <memory>

#include "steps.h"
#include "strip.h"

namespace furiosa {
namespace {

constexpr int64_t kStripBytes = 128 << 10;
constexpr int kTasksPerThread = 4;

struct Packed {
  Buffer weights, bias, multipliers;
};

class Plan {
 public:
  Plan(const DepthwiseConv2d& inst, const Kernels& kernels)
      : inst_(inst), kernels_(kernels),
        strip_(inst, inst.y.shape[2], true, inst.y.shape[3] / inst.x.shape[3], kernels) {
    for (int r = 0; r < inst.kernel[0]; ++r) {
      for (int c = 0; c < inst.kernel[1]; ++c) {
        const int64_t bytes = r * inst.dilations[0] * strip_.row_bytes() + c * inst.dilations[1] * strip_.pixel_bytes();
        offsets_.push_back(int32_t(bytes / 2));
      }
    }
  }

  Packed pack(const uint8_t* weights, const uint8_t* bias, const uint8_t* multipliers) const;
  void run(const Packed& packed, Run& run) const;
  int64_t taps() const { return int64_t(offsets_.size()); }

 private:
  DepthwiseConv2d inst_;
  const Kernels& kernels_;
  Strip strip_;
  std::vector<int32_t> offsets_;
};

Packed Plan::pack(const uint8_t* weights, const uint8_t* bias, const uint8_t* multipliers) const {
  const size_t channels = size_t(inst_.y.shape[3]), pitch = (channels + kChannelStep - 1) / kChannelStep * kChannelStep;
  Packed packed{Buffer(pitch * offsets_.size()), Buffer(4 * pitch), Buffer(4 * pitch)};
  for (size_t tap = 0; tap < offsets_.size(); ++tap) {
    std::memcpy(packed.weights.as() + tap * pitch, weights + tap * channels, channels);
  }
  std::memcpy(packed.bias.as(), bias, 4 * channels);
  std::memcpy(packed.multipliers.as(), multipliers, 4 * channels);
  return packed;
}

void Plan::run(const Packed& packed, Run& run) const {
  const View& y = inst_.y;
  const int images = y.shape[0], height = y.shape[1], threads = run.team.size();
  const int64_t step = strip_.row_bytes() * inst_.strides[0];
  const int64_t fitting = std::max<int64_t>(1, (kStripBytes - strip_.bytes(1)) / step);
  const int64_t fair = (int64_t(images) * height + threads * kTasksPerThread - 1) / (threads * kTasksPerThread);
  const int64_t rows = std::min<int64_t>({height, fitting, fair}), strips = (height + rows - 1) / rows;
  const Requantize requantize{float(inst_.lo - inst_.y_zero), float(inst_.hi - inst_.y_zero), inst_.y_zero};
  const int64_t work = int64_t(images) * height * y.shape[2] * y.shape[3] * taps() / 4;
  run.reserve(size_t(strip_.bytes(int(rows))));
  run.team.loop(images * strips, work, [&](int64_t begin, int64_t end, int member) {
    uint8_t* strip = run.scratch[size_t(member)].as();
    for (int64_t unit = begin; unit < end; ++unit) {
      const int image = int(unit / strips), first = int(unit % strips * rows);
      const int count = int(std::min<int64_t>(rows, height - first));
      strip_.fill(run.sram, image, first, count, strip);
      for (int row = 0; row < count; ++row) {
        uint8_t* out = run.sram + y.address + int64_t(image) * y.strides[0] + int64_t(first + row) * y.strides[1];
        kernels_.depthwise_row({reinterpret_cast<const int16_t*>(strip + row * step),
                                inst_.strides[1] * strip_.pixel_bytes() / 2, out, y.strides[2], y.shape[2], y.shape[3],
                                packed.weights.as<int8_t>(), packed.bias.as<int32_t>(), packed.multipliers.as<float>(),
                                offsets_.data(), int(taps()), requantize});
      }
    }
  });
}

}  // namespace

Step prepare(const DepthwiseConv2d& inst, Setup& setup) {
  auto plan = std::make_shared<const Plan>(inst, setup.kernels);
  const int channels = inst.y.shape[3];
  setup.reads(inst.x);
  const uint8_t* weights = setup.constants.find(inst.weights, plan->taps() * channels);
  const uint8_t* bias = setup.constants.find(inst.bias, 4 * channels);
  const uint8_t* multipliers = setup.constants.find(inst.multipliers, 4 * channels);
  setup.writes(inst.y);
  if (weights != nullptr && bias != nullptr && multipliers != nullptr) {
    auto packed = std::make_shared<const Packed>(plan->pack(weights, bias, multipliers));
    return [plan, packed](Run& run) { plan->run(*packed, run); };
  }
  return [plan, inst, weights, bias, multipliers](Run& run) {
    const auto at = [&](const uint8_t* constant, int32_t address) { return constant ? constant : run.sram + address; };
    plan->run(plan->pack(at(weights, inst.weights), at(bias, inst.bias), at(multipliers, inst.multipliers)), run);
  };
}

}  // namespace furiosa
