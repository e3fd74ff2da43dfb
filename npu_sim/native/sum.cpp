// Sum: y = requantize(sum of real values in float32, in order, times factor / y_scale).
#include <algorithm>
#include <cstring>

#include "lines.h"
#include "steps.h"
#include "strided.h"

namespace furiosa {
namespace {

// Scales and zero points of the tensors, in the order in which they are added; the scales may lie anywhere.
struct Terms {
  const uint8_t* scales;
  const uint8_t* zeros;

  float scale(int k) const {
    float value;
    std::memcpy(&value, scales + 4 * k, sizeof(value));
    return value;
  }
  Reading reading(int k, int32_t type) const {
    return Reading::centred(type, type ? int32_t(int8_t(zeros[k])) : int32_t(zeros[k]));
  }
};

// `n` elements of y, at most kLine; those of the first tensor begin at x, and each tensor `step` bytes behind the last.
void add_line(const Sum& inst, const Terms& terms, const Kernels& kernels, const uint8_t* x, int64_t step,
              int64_t x_step, uint8_t* y, int64_t y_step, int64_t n) {
  const Requantize bounds{float(inst.lo - inst.y_zero), float(inst.hi - inst.y_zero), inst.y_zero};
  float sum[kLine];
  uint8_t from[kLine], to[kLine];
  std::fill(sum, sum + n, 0.0f);
  for (int k = 0; k < inst.count; ++k) {
    kernels.add_scaled(gather(x + k * step, x_step, n, from), sum, n, terms.reading(k, inst.x_type), terms.scale(k));
  }
  for (int64_t i = 0; i < n; ++i) sum[i] *= inst.factor;
  kernels.quantize(sum, target(y, y_step, to), n, inst.y_scale, bounds);
  scatter(y, y_step, n, to);
}

}  // namespace

Step prepare(const Sum& inst, Setup& setup) {
  const uint8_t* scales = setup.constants.find(inst.scales, int64_t(4) * inst.count);
  const uint8_t* zeros = setup.constants.find(inst.zeros, inst.count);
  const Kernels& kernels = setup.kernels;
  const Strided<2> box(inst.y.shape, {inst.y.strides, inst.x.strides});
  const auto elements = [inst, scales, zeros, box, &kernels](const Run& run, int64_t begin, int64_t end, uint8_t*) {
    const Terms terms{scales ? scales : run.sram + inst.scales, zeros ? zeros : run.sram + inst.zeros};
    const int64_t y_step = box.inner(0), x_step = box.inner(1);
    const int64_t step = int64_t(inst.y.shape[0]) * inst.x.strides[0];
    box.runs(begin, end, [&](const auto& at, int64_t length) {
      for (int64_t i = 0; i < length; i += kLine) {
        add_line(inst, terms, kernels, run.sram + inst.x.address + at[1] + i * x_step, step, x_step,
                 run.sram + inst.y.address + at[0] + i * y_step, y_step, std::min(kLine, length - i));
      }
    });
  };
  return Task{box.size(), (inst.count + 1) * box.size(), elements};
}

}  // namespace furiosa
