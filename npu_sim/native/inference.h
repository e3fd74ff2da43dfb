// One inference in one call: the host's steps at the border of the NPU and the programs between them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "buffer.h"
#include "pool.h"
#include "program.h"

namespace furiosa {

// Values are numbered. The caller brings memory for those of the interface, the others lie in memory of the execution.
class Inference {
 public:
  using Outputs = std::vector<std::pair<int64_t, size_t>>;           // DRAM addresses and the values that lie there
  using Inputs = std::vector<std::tuple<int64_t, size_t, uint8_t>>;  // and the masks of the ports

  // `sizes` are the bytes of all values; `interface` numbers those that the caller brings, inputs first.
  Inference(std::vector<int64_t> sizes, std::vector<size_t> interface);

  // Append a step. They throw std::invalid_argument for values whose sizes do not fit it.
  void quantize(size_t x, size_t y, float scale, int32_t zero, bool is_signed, bool by_product);
  void to_signed(size_t x, size_t y);
  void dequantize(size_t x, size_t y, float scale, int32_t zero, bool is_signed);
  void transpose(size_t x, size_t y, int64_t images, int64_t rows, int64_t columns, int itemsize);
  void resize_rows(size_t x, size_t y, int64_t rows, int64_t from, int64_t to);
  void program(const Program& program, Inputs inputs, Outputs outputs);

  // Executes once; `memory` is that of the interface. May be called from several threads at a time.
  // Unless it is null, `marks` gets the time at the start and after each step: ns of the monotonic clock.
  void run(const std::vector<uint8_t*>& memory, int threads, int64_t* marks = nullptr) const;

  size_t steps() const { return steps_.size(); }

  // The bytes of the values of the interface.
  std::vector<int64_t> interface_sizes() const;

 private:
  struct Plan {
    std::shared_ptr<const Loops> loops;
    std::vector<size_t> ends;  // of the steps in them
  };
  // What an execution uses, and the next one after it.
  struct Execution {
    Buffer buffer;
    std::vector<uint8_t*> values;
    std::vector<std::unique_ptr<Run>> runs;  // of the programs
    std::map<int, Plan> plans;               // by the number of threads

    Place place(size_t value) const { return &values[value]; }
  };
  using Planning = std::function<void(Execution&, int threads, Loops&)>;  // of a step: appends its loops

  void append(Planning step);
  int64_t size(size_t value) const;
  void expect(bool fits) const;
  std::unique_ptr<Execution> start() const;
  const Plan& plan(Execution& execution, int threads) const;

  const std::vector<int64_t> sizes_;
  const std::vector<size_t> interface_;
  std::vector<const Program*> programs_;
  std::vector<Planning> steps_;
  mutable Pool<Execution> executions_;
};

}  // namespace furiosa
