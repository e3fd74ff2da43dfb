// Softmax over the channels: y = requantize(e * floor(1 / y_scale) / sum(e)) with e = table[255 - largest + x]; e and
// its sum, from the first channel to the last, are float32, product and quotient float64. LiteRT's form is that of
// `arithmetic.lite_softmax`: float32 throughout, and ties are rounded up.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "steps.h"

namespace furiosa {
namespace {

constexpr int32_t kTflite = 1;  // Framework.TFLITE

// `arithmetic.exponentials`: entry 255 stands for the largest input of a row.
std::vector<float> exponentials(float x_scale, int length) {
  const double scale = x_scale;
  const float reserve = float(std::log(double(std::numeric_limits<float>::max() / float(length))));
  const double headroom = std::max(0.0, reserve - 5.0) / scale;
  std::vector<float> table(256);
  for (int i = 0; i < 256; ++i) table[size_t(i)] = float(std::exp((double(i - 255) + headroom) * scale));
  return table;
}

// `arithmetic.lite_exponentials`.
std::vector<float> lite_exponentials(float x_scale) {
  std::vector<float> table(256);
  for (int i = 0; i < 256; ++i) table[size_t(i)] = float(std::exp(double(float(i - 255) * x_scale)));
  return table;
}

// y[i] = requantize(x[i] * multiplier), rounded as the type of y wants it.
void lite_share(const float* x, uint8_t* y, int64_t n, float multiplier, bool is_signed, const Requantize& r) {
  for (int64_t i = 0; i < n; ++i) {
    const float share = x[i] * multiplier, below = std::floor(share);
    float whole = is_signed ? below + float(share - below >= 0.5f) : std::floor(share + 0.5f);
    whole = whole > r.lo ? whole : r.lo;
    whole = whole < r.hi ? whole : r.hi;
    y[i] = uint8_t(int32_t(whole) + r.zero);
  }
}

// One pixel; `terms` and `line` have room for its channels.
void softmax(const Softmax& inst, const Kernels& kernels, const float* table, float inverse, const uint8_t* x,
             uint8_t* y, float* terms, uint8_t* line) {
  const int64_t channels = inst.y.shape[3], x_step = inst.x.strides[3], y_step = inst.y.strides[3];
  const uint8_t mask = inst.x_type ? 0x80 : 0;
  int largest = 0;
  for (int64_t c = 0; c < channels; ++c) largest = std::max(largest, int(x[c * x_step] ^ mask));
  float total = 0.0f;
  for (int64_t c = 0; c < channels; ++c) {
    terms[c] = table[255 - largest + (x[c * x_step] ^ mask)];
    total += terms[c];
  }
  const int32_t lowest = inst.y_type ? -128 : 0;
  const Requantize requantize{float(lowest - inst.y_zero), float(lowest + 255 - inst.y_zero), inst.y_zero};
  if (inst.framework == kTflite) {
    lite_share(terms, line, channels, 1.0f / (total * inst.y_scale), inst.y_type, requantize);
  } else {
    kernels.share(terms, line, channels, inverse, total, requantize);
  }
  for (int64_t c = 0; c < channels; ++c) y[c * y_step] = line[c];
}

}  // namespace

Step prepare(const Softmax& inst, Setup& setup) {
  const Kernels& kernels = setup.kernels;
  const float inverse = std::floor(1.0f / inst.y_scale);
  const bool lite = inst.framework == kTflite;
  const auto table = lite ? lite_exponentials(inst.x_scale) : exponentials(inst.x_scale, inst.x.shape[3]);
  const auto all = [inst, inverse, table, &kernels](const Run& run, int64_t begin, int64_t end, uint8_t* scratch) {
    const View &x = inst.x, &y = inst.y;
    float* terms = reinterpret_cast<float*>(scratch);
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      const int64_t w = pixel % y.shape[2], h = pixel / y.shape[2] % y.shape[1], n = pixel / y.shape[2] / y.shape[1];
      softmax(inst, kernels, table.data(), inverse,
              run.sram + x.address + n * x.strides[0] + h * x.strides[1] + w * x.strides[2],
              run.sram + y.address + n * y.strides[0] + h * y.strides[1] + w * y.strides[2], terms,
              reinterpret_cast<uint8_t*>(terms + y.shape[3]));
    }
  };
  const int64_t pixels = int64_t(inst.y.shape[0]) * inst.y.shape[1] * inst.y.shape[2], channels = inst.y.shape[3];
  return Task{pixels, 8 * pixels * channels, all, 5 * channels};
}

}  // namespace furiosa
