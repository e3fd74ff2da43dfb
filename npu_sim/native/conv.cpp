// Conv2d as an implicit matrix product: strips of activations by packed blocks of weights.
#include <algorithm>
#include <cstring>
#include <memory>

#include "parts.h"
#include "runs.h"
#include "steps.h"
#include "strip.h"

namespace furiosa {
namespace {

constexpr int64_t kStripBytes = 192 << 10;      // a strip and a block of weights stay in the second-level cache,
constexpr int64_t kWeightBytes = 256 << 10;     // as do the weights of all blocks when pixels are the outer loop
constexpr int64_t kOwnWeightBytes = 512 << 10;  // with more weights than that, reading all of them costs a thread more
                                                // than reading pixels that another one has written
constexpr int64_t kTasksPerThread = 3;          // at most: several balance threads that others hold up,
constexpr int64_t kTaskWork =
    4 << 20;  // but each must be worth it, the more so the more pixels a kernel takes at a time

// A matrix product with one row an image is a convolution along a row of N pixels.
Conv2d merge_images(Conv2d inst) {
  const bool one = inst.x.shape[1] == 1 && inst.x.shape[2] == 1 && inst.y.shape[1] == 1 && inst.y.shape[2] == 1;
  const bool plain = inst.kernel[0] == 1 && inst.kernel[1] == 1 && inst.pads[0] == 0 && inst.pads[1] == 0;
  if (!one || !plain) return inst;
  for (View* view : {&inst.x, &inst.y}) {
    std::swap(view->shape[0], view->shape[2]);
    std::swap(view->strides[0], view->strides[2]);
  }
  inst.strides[1] = 1;
  return inst;
}

// A 1x1 convolution with strides as one without, of just the pixels that it reads.
Conv2d take_pixels(Conv2d inst) {
  if (inst.kernel[0] != 1 || inst.kernel[1] != 1 || inst.pads[0] != 0 || inst.pads[1] != 0) return inst;
  for (int axis = 0; axis < 2; ++axis) {
    inst.x.shape[1 + axis] = inst.y.shape[1 + axis];
    inst.x.strides[1 + axis] *= inst.strides[axis];
    inst.strides[axis] = 1;
  }
  return inst;
}

// The constants of a convolution in the form of the kernels.
struct Packed {
  uint8_t* weights;
  int32_t* bias;
  float* multipliers;
  int32_t* fixed;  // see ConvPixels
  bool bounded;
};

// What a convolution computes and how its loops are cut, settled when the program is prepared.
class Plan {
 public:
  Plan(const Conv2d& original, const Kernels& kernels)
      : inst_(take_pixels(merge_images(original))),
        kernels_(kernels),
        format_(kernels.conv),
        parts_(format_.wide ? 0 : inst_.w_zero),
        strip_(inst_, inst_.y.shape[2], format_.wide, 1, kernels) {
    group_inputs_ = inst_.x.shape[3] / inst_.groups;
    group_outputs_ = inst_.y.shape[3] / inst_.groups;
    blocks_ = int(ceil_div(group_outputs_, format_.channels));
    const int64_t dense = int64_t(inst_.x.shape[3]) * (format_.wide ? 2 : 1);
    const bool together = inst_.groups == 1 && inst_.dilations[1] == 1 && strip_.pixel_bytes() == dense;
    elements_ = group_inputs_ * (together ? inst_.kernel[1] : 1);
    steps_ = int(ceil_div(elements_, format_.step));
    if (steps_ > format_.steps) steps_ = int(ceil_div(steps_, format_.steps) * format_.steps);
    for (int r = 0; r < inst_.kernel[0]; ++r) {
      for (int c = 0; c < (together ? 1 : inst_.kernel[1]); ++c) {
        const int64_t at = r * inst_.dilations[0] * strip_.row_bytes() + c * inst_.dilations[1] * strip_.pixel_bytes();
        offsets_.insert(offsets_.end(), size_t(parts_.count()), int32_t(at));
      }
    }
    block_bytes_ = int64_t(offsets_.size()) * steps_ * format_.step * format_.channels * (format_.wide ? 2 : 1);
    block_bytes_ = ceil_div(block_bytes_, kAlignment) * kAlignment;
  }

  Packed pack(const uint8_t* weights, const uint8_t* bias, const uint8_t* multipliers, Slab& slab) const;
  Task task(const Packed& packed, int threads) const;
  Rows rows(const Packed& packed) const;
  // Whether each thread may as well read all weights.
  bool light() const { return packed_bytes() <= kOwnWeightBytes; }
  Wanted wanted(const Packed& packed) const { return {packed.weights, packed_bytes(), !light()}; }
  // Multiplications.
  int64_t work() const {
    return int64_t(inst_.y.shape[0]) * inst_.y.shape[1] * inst_.y.shape[2] * inst_.y.shape[3] * products();
  }

 private:
  // How many strips an image is cut into, and how many parts all blocks of weights.
  struct Cut {
    int64_t strips, parts;
  };

  int64_t packed_bytes() const { return inst_.groups * blocks_ * block_bytes_; }
  int64_t products() const { return int64_t(offsets_.size()) * elements_; }  // of an output
  Cut cut(int threads) const;
  int64_t scratch(int64_t strips) const { return strip_.scratch(ceil_div(inst_.y.shape[1], strips)); }
  void pack_channel(const int8_t* weights, int channel, uint8_t* block) const;
  void compute(const Packed& packed, int begin, int end, const uint8_t* strip, uint8_t* y, int rows) const;
  void block(ConvPixels& work, const Packed& packed, int index) const;

  Conv2d inst_;
  const Kernels& kernels_;
  ConvFormat format_;
  Parts parts_;  // what the weights are the sum of: segments come once for each
  Strip strip_;
  int group_inputs_, group_outputs_;
  int blocks_;    // of a group
  int elements_;  // of a segment
  int steps_;
  std::vector<int32_t> offsets_;
  int64_t block_bytes_;
};

// The factor, exponent and direction of ties of a channel, as `FixedRow` wants them; rows are `step` apart.
void pack_fixed(const uint8_t* from, int32_t* rows, int step) {
  int32_t given[3];
  std::memcpy(given, from, sizeof given);
  const int32_t exponent = std::min(std::max(given[1], -31), 31), right = std::max(-exponent, 0);
  rows[kFactor * step] = given[0];
  rows[kLeft * step] = std::max(exponent, 0);
  rows[kRight * step] = right;
  rows[kThreshold * step] = right > 0 ? (1 << (right - 1)) - 1 : 0;
  rows[kAway * step] = given[2] ? -1 : 0;
}

Packed Plan::pack(const uint8_t* weights, const uint8_t* bias, const uint8_t* multipliers, Slab& slab) const {
  const int64_t count = int64_t(inst_.groups) * blocks_, channels = count * format_.channels;
  const int64_t size = products(), given = size / parts_.count();
  const int32_t zero = format_.wide ? 0 : inst_.x_zero + (inst_.x_type ? 128 : 0);
  Packed packed{slab.take(size_t(count * block_bytes_)), slab.take<int32_t>(size_t(channels)),
                slab.take<float>(size_t(channels)), nullptr, true};
  if (inst_.rounding) packed.fixed = slab.take<int32_t>(size_t(channels * kFixedRows));
  std::vector<int8_t> split(parts_.count() > 1 ? size_t(size) : 0);
  for (int k = 0; k < inst_.y.shape[3]; ++k) {
    const int64_t block = int64_t(k / group_outputs_) * blocks_ + k % group_outputs_ / format_.channels;
    const int first = k % group_outputs_ / format_.channels * format_.channels;
    const int channel =
        format_.position(k % group_outputs_ - first, std::min(format_.channels, group_outputs_ - first));
    const int8_t* row = reinterpret_cast<const int8_t*>(weights) + k * given;
    if (parts_.count() > 1) {
      for (int64_t e = 0; e < given; e += elements_)
        parts_.split(row + e, elements_, split.data() + e * parts_.count());
      row = split.data();
    }
    pack_channel(row, channel, packed.weights + block * block_bytes_);
    int32_t sum = 0;
    for (int64_t e = 0; zero != 0 && e < size; ++e) sum += row[e];
    const int64_t at = block * format_.channels + channel;
    uint32_t start;
    std::memcpy(&start, bias + 4 * k, 4);
    packed.bias[at] = int32_t(start - uint32_t(zero) * uint32_t(sum));
    if (packed.fixed != nullptr) {
      pack_fixed(multipliers + 12 * k, packed.fixed + block * format_.channels * kFixedRows + channel,
                 format_.channels);
      continue;
    }
    float& multiplier = packed.multipliers[at];
    std::memcpy(&multiplier, multipliers + 4 * k, 4);
    packed.bounded = packed.bounded && multiplier > -1.0f && multiplier < 1.0f;
  }
  return packed;
}

// Writes one channel's weights of one segment, less their zero point: runs of `step` elements, `pitch` apart.
template <class T>
void place(const int8_t* weights, int zero, int64_t count, int64_t step, int64_t pitch, T* to) {
  for (; count > 0; count -= step, to += pitch) {
    for (int64_t e = 0; e < std::min(step, count); ++e) to[e] = T(*weights++ - zero);
  }
}

void Plan::pack_channel(const int8_t* weights, int channel, uint8_t* block) const {
  const int64_t step = format_.step, panel = format_.panel, pitch = panel * step, segments = int64_t(offsets_.size());
  block += channel / panel * (segments * steps_ * pitch * (format_.wide ? 2 : 1));
  channel %= int(panel);
  if (!format_.wide && step == 4 && elements_ == 4 * steps_) {  // the common case, four at a time
    uint8_t* to = block + channel * step;
    for (int64_t k = 0; k < segments * steps_; ++k) std::memcpy(to + k * pitch, weights + 4 * k, 4);
    return;
  }
  for (int64_t segment = 0; segment < segments; ++segment, weights += elements_) {
    const int64_t at = segment * steps_ * pitch + channel * step;
    if (format_.wide) place(weights, inst_.w_zero, elements_, step, pitch, reinterpret_cast<int16_t*>(block) + at);
    else place(weights, 0, elements_, step, pitch, reinterpret_cast<int8_t*>(block) + at);
  }
}

// Threads share out rows of outputs, so that each stays with its part of an image; many weights they share out instead,
// so that not everybody reads all of them.
Plan::Cut Plan::cut(int threads) const {
  const int64_t images = inst_.y.shape[0], height = inst_.y.shape[1], blocks = int64_t(inst_.groups) * blocks_;
  const int64_t step = strip_.row_bytes() * inst_.strides[0];
  const int64_t fitting = std::max<int64_t>(1, (kStripBytes - strip_.bytes(1)) / step);
  const bool by_rows = blocks < threads || light();
  const int64_t each = work() / (threads * format_.pixels * kTaskWork);
  const int64_t tasks = threads == 1 ? 1 : threads * std::min(std::max<int64_t>(each, 1), kTasksPerThread);
  const int64_t fair = ceil_div(images * height, by_rows ? tasks : 1);
  const int64_t most = std::min(fitting, std::max<int64_t>(fair, ceil_div(24, inst_.y.shape[2])));
  const int64_t even = by_rows ? threads : 1;
  const int64_t strips = std::min(height, ceil_div(ceil_div(height, most), even) * even);
  return {strips, std::min(blocks, ceil_div(tasks, images * strips))};
}

Task Plan::task(const Packed& packed, int threads) const {
  const auto [strips, parts] = cut(threads);
  const auto tasks = [this, packed, strips = strips, parts = parts](const Run& run, int64_t begin, int64_t end,
                                                                    uint8_t* scratch) {
    const int64_t blocks = int64_t(inst_.groups) * blocks_;
    const uint8_t* strip = nullptr;
    int64_t filled = -1;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t unit = task / parts, part = task % parts;
      const int first = int(blocks * part / parts), last = int(blocks * (part + 1) / parts);
      const Band band(inst_.y, unit, strips);
      if (unit != filled) strip = strip_.make(run, band, scratch);
      filled = unit;
      compute(packed, first, last, strip, run.sram + band.start, band.count);
    }
  };
  return {inst_.y.shape[0] * strips * parts, work() / 32, tasks, scratch(strips)};
}

Rows Plan::rows(const Packed& packed) const {
  const bool same = inst_.kernel[0] == 1 && inst_.strides[0] == 1 && inst_.pads[0] == 0;
  Rows rows;
  rows.y = inst_.y;
  (same ? rows.same : rows.other).push_back(inst_.x);
  rows.work = work() / 32;
  rows.bands = [this](int threads) {
    const auto [strips, parts] = cut(threads);
    return Bands{parts > 1 ? 0 : strips, scratch(strips)};
  };
  rows.compute = [this, packed](const Run& run, const Band& band, uint8_t* scratch) {
    const uint8_t* strip = strip_.make(run, band, scratch);
    compute(packed, 0, inst_.groups * blocks_, strip, run.sram + band.start, band.count);
  };
  return rows;
}

// Some rows of outputs by blocks `begin` to `end`. Few weights stay in the cache while pixels are read once; many are
// read once while pixels stay.
void Plan::compute(const Packed& packed, int begin, int end, const uint8_t* strip, uint8_t* y, int rows) const {
  const Runs runs(inst_, strip_, rows, format_.pixels);
  const int chunks = int(std::max(ceil_div(int64_t(runs.count()) * runs.pixels(), format_.chunk),
                                  ceil_div(runs.count(), ConvPixels::kMost)));
  const int together = (end - begin) * block_bytes_ <= kWeightBytes ? end - begin : 1;
  ConvPixels work;
  work.offsets = offsets_.data();
  work.segments = int(offsets_.size());
  work.steps = steps_;
  work.bounded = packed.bounded;
  work.requantize = {float(inst_.lo - inst_.y_zero), float(inst_.hi - inst_.y_zero), inst_.y_zero};
  if (kernels_.conv_begin != nullptr) kernels_.conv_begin(steps_, runs.pixels());
  const int fetches = together == 1 ? chunks : 1;  // parts in which the weights of the next block are brought near
  for (int first = begin; first < end; first += together) {
    for (int chunk = 0; chunk < chunks; ++chunk) {
      runs.point(work, strip, y, int(int64_t(runs.count()) * chunk / chunks),
                 int(int64_t(runs.count()) * (chunk + 1) / chunks));
      for (int index = first; index < first + together; ++index) {
        work.next_bytes = index + 1 < end && chunk < fetches ? block_bytes_ / fetches : 0;
        work.next_weights = packed.weights + (index + 1) * block_bytes_ + chunk * work.next_bytes;
        block(work, packed, index);
      }
    }
  }
  if (kernels_.conv_end != nullptr) kernels_.conv_end();
}

void Plan::block(ConvPixels& work, const Packed& packed, int index) const {
  const int group = index / blocks_, first = index % blocks_ * format_.channels;
  work.x_offset = int64_t(group) * group_inputs_ * (format_.wide ? 2 : 1);
  work.y_offset = int64_t(group) * group_outputs_ + first;
  work.channels = std::min(format_.channels, group_outputs_ - first);
  work.weights = packed.weights + index * block_bytes_;
  work.bias = packed.bias + int64_t(index) * format_.channels;
  work.multipliers = packed.multipliers + int64_t(index) * format_.channels;
  work.fixed = packed.fixed == nullptr ? nullptr : packed.fixed + int64_t(index) * format_.channels * kFixedRows;
  kernels_.conv_pixels(work);
}

}  // namespace

Step prepare(const Conv2d& inst, Setup& setup) {
  auto plan = std::make_shared<const Plan>(inst, setup.kernels);
  const int channels = inst.y.shape[3];
  const uint8_t* weights = setup.constants.find(inst.weights, weight_bytes(inst));
  const uint8_t* bias = setup.constants.find(inst.bias, 4 * channels);
  const uint8_t* multipliers = setup.constants.find(inst.multipliers, multiplier_bytes(inst));
  if (weights != nullptr && bias != nullptr && multipliers != nullptr) {
    const Packed packed = plan->pack(weights, bias, multipliers, setup.slab);
    Step step([plan, packed](int threads) { return plan->task(packed, threads); });
    if (plan->light()) step.rows = std::make_shared<const Rows>(plan->rows(packed));
    step.wanted = plan->wanted(packed);
    return step;
  }
  return packing(plan, inst, weights, bias, multipliers);
}

}  // namespace furiosa
