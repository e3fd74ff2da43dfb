// A program made ready for execution: decoded, its constants packed, its memory pooled.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "chain.h"
#include "pool.h"

namespace furiosa {

// Bytes of a caller and the DRAM address where they lie; `mask` changes those of an input on their way (byte ^ mask).
struct Port {
  int64_t address;
  int64_t size;
  Place place;
  uint8_t mask = 0;
};

using Ports = std::vector<Port>;

class Program {
 public:
  // Throws std::invalid_argument when the code is not a sequence of instructions. The constants must outlive it.
  Program(std::string_view code, std::string_view constants, int64_t sram_bytes, int64_t dram_bytes,
          const Kernels& kernels);

  // An execution: memory that is its own, so that there may be several at a time.
  std::unique_ptr<Run> start() const;
  // Appends the loops of an execution with these ports. Throws std::invalid_argument for ports outside of DRAM.
  // Program, execution and places must outlive the use of the loops.
  void plan(Run& run, const Ports& inputs, const Ports& outputs, int threads, Loops& loops) const;
  // Executes once, from any thread.
  void run(const Ports& inputs, const Ports& outputs, int threads) const;

  const char* kernels() const { return kernels_; }

 private:
  void decode(std::string_view code, const Kernels& kernels);
  void check(int64_t address, int64_t size) const;
  bool direct(int64_t address, int64_t size, bool stores) const;

  const std::string_view constants_;
  int64_t sram_bytes_;  // and those of the lanes behind them: see place
  const int64_t dram_bytes_;
  const char* kernels_;
  decltype(Kernels::flip) flip_;
  Slab slab_;
  std::vector<Transfer> transfers_;
  std::vector<Chain> chains_;
  mutable Pool<Run> runs_;
};

}  // namespace furiosa
