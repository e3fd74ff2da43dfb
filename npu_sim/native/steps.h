// Steps: what an instruction becomes when a program is prepared, and what it finds when it is executed.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "buffer.h"
#include "constants.h"
#include "instructions.h"
#include "kernels.h"
#include "threads.h"

namespace furiosa {

// Where the address of bytes of the caller is found when a loop is executed.
using Place = uint8_t* const*;

// Bytes of DRAM that lie in memory of the caller.
struct Mapping {
  int64_t begin, end;  // addresses
  Place place;
};

// An execution, which may be repeated, and its memory.
struct Run {
  Run(std::string_view constants, int64_t sram_bytes, int64_t dram_bytes)
      : sram_buffer(size_t(sram_bytes)),
        dram_buffer(size_t(dram_bytes) - constants.size()),
        sram(sram_buffer.as()),
        constants(reinterpret_cast<const uint8_t*>(constants.data())),
        dram(dram_buffer.as() - int64_t(constants.size())) {}

  uint8_t* dram_at(int64_t address) const {
    for (const Mapping& mapping : mappings) {
      if (address >= mapping.begin && address < mapping.end) return *mapping.place + (address - mapping.begin);
    }
    return dram + address;
  }

  const Buffer sram_buffer, dram_buffer;
  uint8_t* const sram;
  const uint8_t* const constants;
  uint8_t* const dram;  // address 0; only addresses behind the constants, which are shared, are backed
  std::vector<Mapping> mappings;
};

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Some rows of an image of `y`: one of the `bands` that each image is cut into.
struct Band {
  Band(const View& y, int64_t number, int64_t bands) : image(int(number / bands)) {
    const int64_t height = y.shape[1], index = number % bands;
    first = int(height * index / bands);
    count = int(height * (index + 1) / bands) - first;
    start = y.address + int64_t(image) * y.strides[0] + int64_t(first) * y.strides[1];
  }

  int image, first, count;
  int64_t start;  // address of the first row
};

// Into how many bands at least an image is best cut, and the scratch memory for one; 0 when so many threads share the
// step out in another way.
struct Bands {
  int64_t count, scratch;
};

// How a step computes a band of its result.
struct Rows {
  View y;
  std::vector<View> same;   // operands of which a band of the result needs the same rows
  std::vector<View> other;  // operands of which it needs other rows, too
  int64_t work;             // for all rows: see Loop
  std::function<Bands(int threads)> bands;
  std::function<void(const Run&, const Band&, uint8_t* scratch)> compute;
};

// What an execution loops over: see Loop.
struct Task {
  int64_t count;
  int64_t work;
  std::function<void(const Run&, int64_t begin, int64_t end, uint8_t* scratch)> body;
  int64_t scratch = 0;
};

// How an instruction is executed, by rows as well where it has them.
struct Step {
  Step(Task task) : task([task = std::move(task)](int) { return task; }) {}
  Step(Task task, Rows rows) : Step(std::move(task)) { this->rows = std::make_shared<const Rows>(std::move(rows)); }
  Step(std::function<Task(int threads)> task) : task(std::move(task)) {}
  Step(std::function<Task(int threads)> task, Rows rows) : Step(std::move(task)) {
    this->rows = std::make_shared<const Rows>(std::move(rows));
  }

  std::function<Task(int threads)> task;
  std::shared_ptr<const Rows> rows;
  Wanted wanted;
};

// What a Load reads or a Store writes of DRAM, constants apart.
struct Transfer {
  int64_t begin, end;
  bool stores;
};

// What preparing an instruction may use.
struct Setup {
  const Kernels& kernels;
  Constants& constants;
  Slab& slab;  // for what lives as long as the program
  std::vector<Transfer>& dram;
};

// The step that computes each element of `y` from those of operands of its shape; elements(run, begin, end) does some
// of them, at `work` each.
template <class Elements>
Step elementwise(const View& y, std::vector<View> operands, int64_t work, Elements elements) {
  const int64_t row = int64_t(y.shape[2]) * y.shape[3], image = row * y.shape[1], size = image * y.shape[0];
  const auto task = [elements](const Run& run, int64_t begin, int64_t end, uint8_t*) { elements(run, begin, end); };
  const auto band = [row, image, elements](const Run& run, const Band& band, uint8_t*) {
    const int64_t begin = band.image * image + band.first * row;
    elements(run, begin, begin + band.count * row);
  };
  return {Task{size, work * size, task},
          Rows{y, std::move(operands), {}, work * size, [](int) { return Bands{1, 0}; }, band}};
}

// The task of a step whose constants are known only when it is executed, at least some of them: those that are null lie
// in SRAM then. They are packed and used by one thread.
template <class Plan, class Inst>
Task packing(std::shared_ptr<const Plan> plan, const Inst& inst, const uint8_t* weights, const uint8_t* bias,
             const uint8_t* multipliers) {
  const Task all = plan->task({}, 1);
  const auto body = [=](const Run& run, int64_t, int64_t, uint8_t* scratch) {
    const auto at = [&](const uint8_t* constant, int32_t address) { return constant ? constant : run.sram + address; };
    Slab slab;
    const auto packed =
        plan->pack(at(weights, inst.weights), at(bias, inst.bias), at(multipliers, inst.multipliers), slab);
    plan->task(packed, 1).body(run, 0, all.count, scratch);
  };
  return {1, all.work, body, all.scratch};
}

Step prepare(const Load& inst, Setup& setup);
Step prepare(const Store& inst, Setup& setup);
Step prepare(const Conv2d& inst, Setup& setup);
Step prepare(const DepthwiseConv2d& inst, Setup& setup);
Step prepare(const MatMul& inst, Setup& setup);
Step prepare(const MaxPool2d& inst, Setup& setup);
Step prepare(const AveragePool2d& inst, Setup& setup);
Step prepare(const GlobalAveragePool& inst, Setup& setup);
Step prepare(const AddAveragePool2d& inst, Setup& setup);
Step prepare(const Interpolate& inst, Setup& setup);
Step prepare(const Add& inst, Setup& setup);
Step prepare(const Sub& inst, Setup& setup);
Step prepare(const Mul& inst, Setup& setup);
Step prepare(const Sum& inst, Setup& setup);
Step prepare(const Table& inst, Setup& setup);
Step prepare(const Softmax& inst, Setup& setup);
Step prepare(const ReduceL2& inst, Setup& setup);
Step prepare(const L2Normalize& inst, Setup& setup);
Step prepare(const Copy& inst, Setup& setup);
Step prepare(const Fill& inst, Setup& setup);

}  // namespace furiosa
