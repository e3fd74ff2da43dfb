// Steps: what an instruction becomes when a program is prepared, and what it finds when it is executed.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "buffer.h"
#include "constants.h"
#include "instructions.h"
#include "kernels.h"
#include "threads.h"

namespace furiosa {

// The memory of one execution. The first bytes of DRAM are the constants, shared and never written.
struct Arena {
  Buffer sram;
  Buffer dram;
  std::vector<Buffer> scratch;  // one a thread
};

// Bytes of DRAM that lie in memory of the caller.
struct Mapping {
  int64_t begin, end;  // addresses
  uint8_t* data;
};

// One execution in progress.
struct Run {
  uint8_t* sram;
  const uint8_t* constants;
  uint8_t* dram;  // address 0; only addresses behind the constants are backed
  std::vector<Mapping> mappings;
  Team& team;
  std::vector<Buffer>& scratch;

  uint8_t* dram_at(int64_t address) const {
    for (const Mapping& mapping : mappings) {
      if (address >= mapping.begin && address < mapping.end) return mapping.data + (address - mapping.begin);
    }
    return dram + address;
  }

  // Gives every thread scratch memory of this size.
  void reserve(int64_t size) {
    for (Buffer& buffer : scratch) buffer.reserve(size_t(size));
  }
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

// How a step computes a band of its result, any band by any member of the team.
struct Rows {
  View y;
  std::vector<View> same;   // operands of which a band of the result needs the same rows
  std::vector<View> other;  // operands of which it needs other rows, too
  int64_t work;             // for all rows: see Team::loop
  // Into how many bands at least an image is best cut, with scratch memory reserved for them; 0 when so many threads
  // share the step out in another way.
  std::function<int64_t(Run&)> bands;
  std::function<void(Run&, const Band&, int member)> compute;
};

// How an instruction is executed, by rows as well where it has them.
struct Step {
  template <class Body>
  Step(Body run) : run(std::move(run)) {}
  template <class Body>
  Step(Body run, Rows rows) : run(std::move(run)), rows(std::make_shared<const Rows>(std::move(rows))) {}

  std::function<void(Run&)> run;
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

  void reads(const View& view) { constants.read(view.address, end_of(view)); }
  void writes(const View& view) { constants.write(view.address, end_of(view)); }
};

// The step that computes each element of `y` from those of operands of its shape; elements(run, begin, end) does some
// of them, at `work` each.
template <class Elements>
Step elementwise(const View& y, std::vector<View> operands, int64_t work, Elements elements) {
  const int64_t row = int64_t(y.shape[2]) * y.shape[3], image = row * y.shape[1], size = image * y.shape[0];
  return {[size, work, elements](Run& run) {
            run.team.loop(size, work * size, [&](int64_t begin, int64_t end, int) { elements(run, begin, end); });
          },
          Rows{y,
               std::move(operands),
               {},
               work * size,
               [](Run&) { return 1; },
               [row, image, elements](Run& run, const Band& band, int) {
                 const int64_t begin = band.image * image + band.first * row;
                 elements(run, begin, begin + band.count * row);
               }}};
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
