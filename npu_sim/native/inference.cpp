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
  append([=](Execution& execution, int, Loops& loops) {
    loops.push_back(furiosa::quantize(execution.place(x), execution.place(y), n, scale, zero, is_signed, by_product));
  });
}

void Inference::to_signed(size_t x, size_t y) {
  const int64_t n = size(y);
  expect(size(x) == n);
  append([=](Execution& execution, int, Loops& loops) {
    loops.push_back(furiosa::to_signed(execution.place(x), execution.place(y), n));
  });
}

void Inference::dequantize(size_t x, size_t y, float scale, int32_t zero, bool is_signed) {
  const int64_t n = size(x);
  expect(size(y) == 4 * n);
  append([=](Execution& execution, int, Loops& loops) {
    loops.push_back(furiosa::dequantize(execution.place(x), execution.place(y), n, scale, zero, is_signed));
  });
}

void Inference::transpose(size_t x, size_t y, int64_t images, int64_t rows, int64_t columns, int itemsize) {
  expect(size(x) == size(y) && size(x) == images * rows * columns * itemsize);
  append([=](Execution& execution, int, Loops& loops) {
    loops.push_back(furiosa::transpose(execution.place(x), execution.place(y), images, rows, columns, itemsize));
  });
}

void Inference::resize_rows(size_t x, size_t y, int64_t rows, int64_t from, int64_t to) {
  expect(rows >= 0 && from >= 0 && to >= 0 && size(x) == rows * from && size(y) == rows * to);
  append([=](Execution& execution, int, Loops& loops) {
    loops.push_back(furiosa::resize_rows(execution.place(x), execution.place(y), rows, from, to));
  });
}

void Inference::program(const Program& program, Inputs inputs, Outputs outputs) {
  for (const auto& input : inputs) size(std::get<1>(input));
  for (const auto& output : outputs) size(output.second);
  const size_t index = programs_.size();
  programs_.push_back(&program);
  append([=, &program](Execution& execution, int threads, Loops& loops) {
    Ports in, out;
    for (const auto& [address, value, mask] : inputs)
      in.push_back({address, sizes_[value], execution.place(value), mask});
    for (const auto& [address, value] : outputs) out.push_back({address, sizes_[value], execution.place(value)});
    program.plan(*execution.runs[index], in, out, threads, loops);
  });
}

void Inference::run(const std::vector<uint8_t*>& memory, int threads, int64_t* marks) const {
  if (marks) *marks++ = now();
  expect(memory.size() == interface_.size());
  std::unique_ptr<Execution> execution = executions_.take([this] { return start(); });
  const Plan& plan = this->plan(*execution, threads);
  for (size_t i = 0; i < memory.size(); ++i) execution->values[interface_[i]] = memory[i];
  const Lease team(threads);
  if (marks == nullptr) {
    team->run(plan.loops, 0, plan.loops->size());
  } else {
    size_t begin = 0;
    for (size_t end : plan.ends) {
      team->run(plan.loops, begin, end);
      *marks++ = now();
      begin = end;
    }
  }
  executions_.put(std::move(execution));
}

std::vector<int64_t> Inference::interface_sizes() const {
  std::vector<int64_t> sizes;
  for (size_t value : interface_) sizes.push_back(size(value));
  return sizes;
}

std::unique_ptr<Inference::Execution> Inference::start() const {
  auto execution = std::make_unique<Execution>();
  int64_t total = 0;
  for (int64_t size : sizes_) total += aligned(size);
  execution->buffer.reserve(size_t(total));
  uint8_t* at = execution->buffer.as();
  for (int64_t size : sizes_) {
    execution->values.push_back(at);
    at += aligned(size);
  }
  for (const Program* program : programs_) execution->runs.push_back(program->start());
  return execution;
}

const Inference::Plan& Inference::plan(Execution& execution, int threads) const {
  const auto known = execution.plans.find(threads);
  if (known != execution.plans.end()) return known->second;
  Loops loops;
  std::vector<size_t> ends;
  for (const Planning& step : steps_) {
    step(execution, threads, loops);
    ends.push_back(loops.size());
  }
  Plan plan{std::make_shared<const Loops>(std::move(loops)), std::move(ends)};
  return execution.plans.emplace(threads, std::move(plan)).first->second;
}

// What rests has no memory and no plan for the step.
void Inference::append(Planning step) {
  steps_.push_back(std::move(step));
  executions_.clear();
}

int64_t Inference::size(size_t value) const {
  expect(value < sizes_.size());
  return sizes_[value];
}

void Inference::expect(bool fits) const {
  if (!fits) throw std::invalid_argument("a value does not fit the inference");
}

}  // namespace furiosa
