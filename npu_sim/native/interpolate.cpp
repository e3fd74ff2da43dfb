// Interpolate: y = requantize(sum of the four neighbours times their shares / y_scale), in float32; or LiteRT's sum in
// fixed point.
#include <algorithm>
#include <cmath>
#include <memory>

#include "lines.h"
#include "steps.h"

namespace furiosa {
namespace {

constexpr int32_t kTflite = 1;             // Framework.TFLITE
constexpr float kShares = float(1 << 11);  // LiteRT's, of one axis

// Where an element of the result lies along one axis: between two elements of x, counted from its first.
struct Place {
  int first, second;
  float near, far;  // their shares
};

// The places along one axis.
struct Axis {
  float lead, factor, divisor, offset;
  int y_start, extent, x_start;
  bool lite;

  Place place(int index) const {
    float position = (float(y_start + index) + lead) * factor / divisor + offset;
    position = std::max(0.0f, std::min(position, float(extent - 1)));
    const int first = int(position), second = std::min(first + 1, extent - 1);
    float near = 0.5f, far = 0.5f;
    if (first != second) near = std::fabs(position - float(second)), far = std::fabs(position - float(first));
    if (lite) far = std::nearbyint(far * kShares), near = kShares - far;
    return {first - x_start, second - x_start, near, far};
  }
};

// Some elements of a row of the result, at most kLine, that are all channels of some pixels or a part of one pixel's.
struct Chunk {
  int column, columns;
  int64_t channel, channels;

  int64_t size() const { return columns * channels; }
};

// A chunk's columns: what of rows of x lies left and right of its elements, and the shares of that.
class Columns {
 public:
  Columns(const View& x, const Axis& axis, const Chunk& chunk) : x_(x), chunk_(chunk) {
    float *left = this->left, *right = this->right;
    for (int q = 0; q < chunk.columns; ++q, left += chunk.channels, right += chunk.channels) {
      const Place at = axis.place(chunk.column + q);
      first_[q] = at.first, second_[q] = at.second;
      std::fill(left, left + chunk.channels, at.near);
      std::fill(right, right + chunk.channels, at.far);
    }
  }

  // Of a row of the image at `image`, the left neighbours and, kLine behind them, the right ones. Two rows are kept:
  // the one that was asked for last, and this.
  const uint8_t* of(const uint8_t* image, int row) {
    for (int k = 0; k < 2; ++k) {
      if (rows_[k] == row) return last_ = k, lines_[k];
    }
    last_ = 1 - last_;
    rows_[last_] = row;
    pick(image + int64_t(row) * x_.strides[1] + chunk_.channel * x_.strides[3], lines_[last_]);
    return lines_[last_];
  }

  float left[kLine], right[kLine];

 private:
  void pick(const uint8_t* from, uint8_t* to) const {
    for (int q = 0; q < chunk_.columns; ++q, to += chunk_.channels) {
      copy(from + int64_t(first_[q]) * x_.strides[2], to);
      copy(from + int64_t(second_[q]) * x_.strides[2], to + kLine);
    }
  }
  void copy(const uint8_t* from, uint8_t* to) const {
    const int64_t step = x_.strides[3], n = chunk_.channels;
    if (step == 1 && n >= 16) std::copy(from, from + n, to);
    else
      for (int64_t c = 0; c < n; ++c) to[c] = from[c * step];
  }

  const View& x_;
  const Chunk& chunk_;
  int32_t first_[kLine], second_[kLine];
  int rows_[2] = {-1, -1};
  int last_ = 0;
  uint8_t lines_[2][2 * kLine];
};

class Plan {
 public:
  Plan(const Interpolate& inst, const Kernels& kernels)
      : inst_(inst),
        kernels_(kernels),
        lite_(inst.framework == kTflite),
        rows_{inst.row_lead,   inst.row_factor, inst.row_divisor, inst.row_offset,
              inst.y_start[0], inst.extents[0], inst.x_start[0],  lite_},
        columns_{inst.column_lead, inst.column_factor, inst.column_divisor, inst.column_offset,
                 inst.y_start[1],  inst.extents[1],    inst.x_start[1],     lite_} {}

  int64_t work() const {
    const View& y = inst_.y;
    return int64_t(8) * y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3];
  }
  void compute(const Run& run, const Band& band) const;

 private:
  void chunk(const Run& run, const Band& band, const Chunk& chunk) const;
  void line(const Between& x, const Columns& columns, uint8_t* y, const Chunk& chunk) const;
  void put(const uint8_t* from, uint8_t* y, const Chunk& chunk) const;

  Interpolate inst_;
  const Kernels& kernels_;
  bool lite_;
  Axis rows_, columns_;
};

void Plan::compute(const Run& run, const Band& band) const {
  const int64_t channels = inst_.y.shape[3], most = std::max<int64_t>(1, kLine / channels);
  for (int q = 0; q < inst_.y.shape[2]; q += int(most)) {
    for (int64_t c = 0; c < channels; c += kLine) {
      const int columns = int(std::min<int64_t>(most, inst_.y.shape[2] - q));
      chunk(run, band, {q, columns, c, std::min(kLine, channels - c)});
    }
  }
}

// A chunk of columns in all rows of a band.
void Plan::chunk(const Run& run, const Band& band, const Chunk& chunk) const {
  const View& y = inst_.y;
  Columns columns(inst_.x, columns_, chunk);
  const uint8_t* image = run.sram + inst_.x.address + int64_t(band.image) * inst_.x.strides[0];
  uint8_t* to = run.sram + band.start + int64_t(chunk.column) * y.strides[2] + chunk.channel * y.strides[3];
  for (int row = band.first; row < band.first + band.count; ++row, to += y.strides[1]) {
    const Place at = rows_.place(row);
    const uint8_t *above = columns.of(image, at.first), *below = columns.of(image, at.second);
    line({above, above + kLine, below, below + kLine, at.near, at.far}, columns, to, chunk);
  }
}

void Plan::line(const Between& x, const Columns& columns, uint8_t* y, const Chunk& chunk) const {
  const int64_t n = chunk.size();
  const bool together = inst_.y.strides[3] == 1 && (chunk.columns == 1 || inst_.y.strides[2] == chunk.channels);
  float sum[kLine];
  uint8_t spare[kLine];
  uint8_t* to = together ? y : spare;
  if (lite_) {
    kernels_.lite_between(x, columns.left, columns.right, to, n, Reading::centred(inst_.x_type, 0));
  } else {
    kernels_.between(x, columns.left, columns.right, sum, n, Reading::centred(inst_.x_type, inst_.x_zero),
                     inst_.x_scale);
    kernels_.quantize(sum, to, n, inst_.y_scale, whole_range(inst_.y_type, inst_.y_zero));
  }
  if (!together) put(spare, y, chunk);
}

void Plan::put(const uint8_t* from, uint8_t* y, const Chunk& chunk) const {
  const int64_t step = inst_.y.strides[3];
  for (int q = 0; q < chunk.columns; ++q, y += inst_.y.strides[2], from += chunk.channels) {
    for (int64_t c = 0; c < chunk.channels; ++c) y[c * step] = from[c];
  }
}

}  // namespace

Step prepare(const Interpolate& inst, Setup& setup) {
  const auto plan = std::make_shared<const Plan>(inst, setup.kernels);
  const View& y = inst.y;
  const int64_t height = y.shape[1], images = y.shape[0];
  const auto task = [plan, y, height, images](int threads) {
    const int64_t bands = std::min<int64_t>(height, 4 * ceil_div(threads, images));
    const auto body = [plan, y, bands](const Run& run, int64_t begin, int64_t end, uint8_t*) {
      for (int64_t task = begin; task < end; ++task) plan->compute(run, Band(y, task, bands));
    };
    return Task{images * bands, plan->work(), body};
  };
  const auto band = [plan](const Run& run, const Band& band, uint8_t*) { plan->compute(run, band); };
  return {task, Rows{y, {}, {inst.x}, plan->work(), [](int) { return Bands{1, 0}; }, band}};
}

}  // namespace furiosa
