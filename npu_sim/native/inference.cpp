// Inferences: see inference.h.
#include "inference.h"

#include <chrono>
#include <stdexcept>

#include "host.h"

namespace furiosa {
namespace {

constexpr int64_t aligned(int64_t size) { return (size + 63) / 64 * 64; }

int64_t now() { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Inference::Inference(std::vector<int64_t> sizes, std::vector<size_t> interface)
    : sizes_(std::move(sizes)), interface_(std::move(interface)) {
  for (int64_t size : sizes_) expect(size >= 0);
  for (size_t value : interface_) size(value);
}

void Inference::quantize(size_t x, size_t y, float scale, int32_t zero, bool is_signed, bool by_product) {
  const int64_t n = size(y);
  expect(size(x) == 4 * n);
  steps_.push_back([=](const Values& values, int threads) {
    furiosa::quantize(reinterpret_cast<const float*>(values[x]), values[y], n, scale, zero, is_signed, by_product,
                      threads);
  });
}

void Inference::to_signed(size_t x, size_t y) {
  const int64_t n = size(y);
  expect(size(x) == n);
  steps_.push_back([=](const Values& values, int threads) { furiosa::to_signed(values[x], values[y], n, threads); });
}

void Inference::dequantize(size_t x, size_t y, float scale, int32_t zero, bool is_signed) {
  const int64_t n = size(x);
  expect(size(y) == 4 * n);
  steps_.push_back([=](const Values& values, int threads) {
    furiosa::dequantize(values[x], reinterpret_cast<float*>(values[y]), n, scale, zero, is_signed, threads);
  });
}

void Inference::transpose(size_t x, size_t y, int64_t images, int64_t rows, int64_t columns, int itemsize) {
  expect(size(x) == size(y) && size(x) == images * rows * columns * itemsize);
  steps_.push_back([=](const Values& values, int threads) {
    furiosa::transpose(values[x], values[y], images, rows, columns, itemsize, threads);
  });
}

void Inference::resize_rows(size_t x, size_t y, int64_t rows, int64_t from, int64_t to) {
  expect(rows >= 0 && from >= 0 && to >= 0 && size(x) == rows * from && size(y) == rows * to);
  steps_.push_back(
      [=](const Values& values, int threads) { furiosa::resize_rows(values[x], values[y], rows, from, to, threads); });
}

void Inference::program(const Program& program, Inputs inputs, Ports outputs) {
  std::vector<Port<const uint8_t>> in;
  std::vector<Port<uint8_t>> out;
  for (const auto& [address, value, mask] : inputs) in.push_back({address, nullptr, size(value), mask});
  for (const auto& [address, value] : outputs) out.push_back({address, nullptr, size(value)});
  steps_.push_back([=, &program](const Values& values, int threads) {
    auto from = in;
    auto to = out;
    for (size_t i = 0; i < from.size(); ++i) from[i].data = values[std::get<1>(inputs[i])];
    for (size_t i = 0; i < to.size(); ++i) to[i].data = values[outputs[i].second];
    program.run(from, to, threads);
  });
}

void Inference::run(const std::vector<uint8_t*>& memory, int threads, int64_t* marks) const {
  if (marks) *marks++ = now();
  expect(memory.size() == interface_.size());
  std::unique_ptr<Memory> own = take();
  for (size_t i = 0; i < memory.size(); ++i) own->values[interface_[i]] = memory[i];
  for (const auto& step : steps_) {
    step(own->values, threads);
    if (marks) *marks++ = now();
  }
  std::lock_guard<std::mutex> lock(mutex_);
  resting_.push_back(std::move(own));
}

std::vector<int64_t> Inference::interface_sizes() const {
  std::vector<int64_t> sizes;
  for (size_t value : interface_) sizes.push_back(size(value));
  return sizes;
}

std::unique_ptr<Inference::Memory> Inference::take() const {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!resting_.empty()) {
      std::unique_ptr<Memory> memory = std::move(resting_.back());
      resting_.pop_back();
      return memory;
    }
  }
  auto memory = std::make_unique<Memory>();
  int64_t total = 0;
  for (int64_t size : sizes_) total += aligned(size);
  memory->buffer.reserve(size_t(total));
  uint8_t* at = memory->buffer.as();
  for (int64_t size : sizes_) {
    memory->values.push_back(at);
    at += aligned(size);
  }
  return memory;
}

int64_t Inference::size(size_t value) const {
  expect(value < sizes_.size());
  return sizes_[value];
}

void Inference::expect(bool fits) const {
  if (!fits) throw std::invalid_argument("a value does not fit the inference");
}

}  // namespace furiosa
