// Add, Sub and Mul, with the constants of their formulas derived as `furiosa.isa.arithmetic` does.
#include <algorithm>
#include <cmath>

#include "lines.h"
#include "steps.h"
#include "strided.h"

namespace furiosa {
namespace {

constexpr int32_t kScaled = 1, kLite = 2;  // BinaryForm
constexpr int kMultiplierBits = 20;

// Bounds of the result for values that already hold the zero point, or that lack it.
Requantize absolute(const Binary& inst) { return {float(inst.lo), float(inst.hi), 0}; }
Requantize relative(const Binary& inst) {
  return {float(inst.lo - inst.y_zero), float(inst.hi - inst.y_zero), inst.y_zero};
}

// A sum of two terms of at most `a` and `b` for each unit of bytes less zero points, which are below 512.
bool bounded(float a, float b) { return 512.0f * (std::fabs(a) + std::fabs(b)) < float(1 << 30); }

Pair real_sum(const Binary& inst, float sign) {
  const float ratio_a = inst.a_scale / inst.y_scale, ratio_b = inst.b_scale / inst.y_scale;
  return {Reading::centred(inst.a_type, inst.a_zero),
          Reading::centred(inst.b_type, inst.b_zero),
          inst.a_scale,
          sign * inst.b_scale,
          inst.y_scale,
          0.0f,
          bounded(ratio_a, ratio_b) && bounded(inst.a_scale, inst.b_scale) && ordinary(inst.y_scale),
          relative(inst)};
}

Pair real_product(const Binary& inst) {
  const float scale = 512.0f * inst.a_scale * inst.b_scale;
  return {Reading::centred(inst.a_type, inst.a_zero),
          Reading::centred(inst.b_type, inst.b_zero),
          inst.a_scale,
          inst.b_scale,
          inst.y_scale,
          0.0f,
          bounded(scale / inst.y_scale, scale) && bounded(inst.a_scale, inst.b_scale) && ordinary(inst.y_scale),
          relative(inst)};
}

Pair scaled_sum(const Binary& inst) {
  const float ratio_a = inst.a_scale / inst.y_scale, ratio_b = inst.b_scale / inst.y_scale;
  const float fixed = float(inst.y_zero) - std::fmaf(ratio_a, float(inst.a_zero), ratio_b * float(inst.b_zero));
  return {Reading::centred(inst.a_type, 0),
          Reading::centred(inst.b_type, 0),
          ratio_a,
          ratio_b,
          inst.y_scale,
          fixed,
          bounded(ratio_a, ratio_b),
          absolute(inst)};
}

Pair scaled_product(const Binary& inst) {
  const float scale = inst.a_scale * inst.b_scale / inst.y_scale;
  return {Reading::centred(inst.a_type, inst.a_zero),
          Reading::centred(inst.b_type, inst.b_zero),
          scale,
          0.0f,
          inst.y_scale,
          float(inst.y_zero),
          bounded(512.0f * scale, 0.0f),
          absolute(inst)};
}

Pair lite_product(const Binary& inst) {
  Pair pair = scaled_product(inst);
  pair.requantize = relative(inst);
  return pair;
}

// `arithmetic.fixed_sum`; the larger ratio lies in [2^-10, 2^8), so that the shift does in [13, 30].
Pair lite_sum(const Binary& inst, int32_t sign) {
  const float ratio_a = inst.a_scale / inst.y_scale, ratio_b = inst.b_scale / inst.y_scale;
  const int shift = kMultiplierBits - std::ilogb(std::max(ratio_a, ratio_b));
  const int32_t factor_a = int32_t(std::lrint(std::ldexp(double(ratio_a), shift)));
  const int32_t factor_b = sign * int32_t(std::lrint(std::ldexp(double(ratio_b), shift)));
  const int32_t addend = (1 << (shift - 1)) - factor_a * inst.a_zero - factor_b * inst.b_zero;
  return {Reading::centred(inst.a_type, 0),
          Reading::centred(inst.b_type, 0),
          0.0f,
          0.0f,
          0.0f,
          0.0f,
          true,
          relative(inst),
          {factor_a, factor_b, addend, shift}};
}

Step prepare_binary(const Binary& inst, const Pair& pair, PairKernel kernel) {
  const Strided<3> box(inst.y.shape, {inst.y.strides, inst.a.strides, inst.b.strides});
  return elementwise(inst.y, {inst.a, inst.b}, 2,
                     [inst, pair, kernel, box](const Run& run, int64_t begin, int64_t end) {
                       const int64_t y_step = box.inner(0), a_step = box.inner(1), b_step = box.inner(2);
                       uint8_t a_line[kLine], b_line[kLine], y_line[kLine];
                       box.runs(begin, end, [&](const auto& at, int64_t length) {
                         for (int64_t i = 0; i < length; i += kLine) {
                           const int64_t n = std::min(kLine, length - i);
                           uint8_t* y = run.sram + inst.y.address + at[0] + i * y_step;
                           const uint8_t* a = gather(run.sram + inst.a.address + at[1] + i * a_step, a_step, n, a_line);
                           const uint8_t* b = gather(run.sram + inst.b.address + at[2] + i * b_step, b_step, n, b_line);
                           kernel(a, b, target(y, y_step, y_line), n, pair);
                           scatter(y, y_step, n, y_line);
                         }
                       });
                     });
}

}  // namespace

Step prepare(const Add& inst, Setup& setup) {
  if (inst.form == kScaled) return prepare_binary(inst, scaled_sum(inst), setup.kernels.scaled_add);
  if (inst.form == kLite) return prepare_binary(inst, lite_sum(inst, 1), setup.kernels.lite_add);
  return prepare_binary(inst, real_sum(inst, 1.0f), setup.kernels.real_add);
}

Step prepare(const Sub& inst, Setup& setup) {
  if (inst.form == kLite) return prepare_binary(inst, lite_sum(inst, -1), setup.kernels.lite_add);
  return prepare_binary(inst, real_sum(inst, -1.0f), setup.kernels.real_add);
}

Step prepare(const Mul& inst, Setup& setup) {
  if (inst.form == kScaled) return prepare_binary(inst, scaled_product(inst), setup.kernels.scaled_mul);
  if (inst.form == kLite) return prepare_binary(inst, lite_product(inst), setup.kernels.lite_mul);
  return prepare_binary(inst, real_product(inst), setup.kernels.real_mul);
}

}  // namespace furiosa
