// Steps: what an instruction becomes when a program is prepared, and what it finds when it is executed.
#pragma once

#include <functional>
#include <vector>

#include "buffer.h"
#include "constants.h"
#include "instructions.h"
#include "kernels.h"
#include "threads.h"

namespace furiosa {

// The memory of one execution. DRAM below `constants_size` is the constants, shared and never written.
struct Arena {
  Buffer sram;
  Buffer dram;
  std::vector<Buffer> scratch;  // one a thread
};

// One execution in progress.
struct Run {
  uint8_t* sram;
  const uint8_t* constants;
  int64_t constants_size;
  uint8_t* dram;  // address 0; only addresses from `constants_size` on are backed
  Team& team;
  std::vector<Buffer>& scratch;

  // Gives every thread scratch memory of this size.
  void reserve(size_t size) {
    for (Buffer& buffer : scratch) buffer.reserve(size);
  }
};

using Step = std::function<void(Run&)>;

// What preparing an instruction may use.
struct Setup {
  const Kernels& kernels;
  Constants& constants;
  Slab& slab;  // for what lives as long as the program

  void reads(const View& view) { constants.read(view.address, end_of(view)); }
  void writes(const View& view) { constants.write(view.address, end_of(view)); }
};

Step prepare(const Load& inst, Setup& setup);
Step prepare(const Store& inst, Setup& setup);
Step prepare(const Conv2d& inst, Setup& setup);
Step prepare(const DepthwiseConv2d& inst, Setup& setup);
Step prepare(const MatMul& inst, Setup& setup);
Step prepare(const MaxPool2d& inst, Setup& setup);
Step prepare(const AveragePool2d& inst, Setup& setup);
Step prepare(const GlobalAveragePool& inst, Setup& setup);
Step prepare(const AddAveragePool2d& inst, Setup& setup);
Step prepare(const Add& inst, Setup& setup);
Step prepare(const Sub& inst, Setup& setup);
Step prepare(const Mul& inst, Setup& setup);
Step prepare(const Table& inst, Setup& setup);
Step prepare(const Softmax& inst, Setup& setup);
Step prepare(const ReduceL2& inst, Setup& setup);
Step prepare(const L2Normalize& inst, Setup& setup);
Step prepare(const Copy& inst, Setup& setup);
Step prepare(const Fill& inst, Setup& setup);

}  // namespace furiosa
