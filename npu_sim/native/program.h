// A program made ready for execution: decoded, its constants packed, its memory pooled.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "chain.h"

namespace furiosa {

// Bytes of a caller and the DRAM address where they lie; `mask` changes those of an input on their way (data ^ mask).
template <class Byte>
struct Port {
  int64_t address;
  Byte* data;
  int64_t size;
  uint8_t mask = 0;
};

class Program {
 public:
  // Throws std::invalid_argument when the code is not a sequence of instructions. The constants must outlive it.
  Program(std::string_view code, std::string_view constants, int64_t sram_bytes, int64_t dram_bytes,
          const Kernels& kernels);

  // Executes once. May be called from several threads at a time; each execution has its own memory.
  void run(const std::vector<Port<const uint8_t>>& inputs, const std::vector<Port<uint8_t>>& outputs,
           int threads) const;

  const char* kernels() const { return kernels_; }

 private:
  void decode(std::string_view code, const Kernels& kernels);
  std::unique_ptr<Arena> take(int threads) const;
  void check(int64_t address, int64_t size) const;
  bool direct(int64_t address, int64_t size, bool stores) const;

  const std::string_view constants_;
  const int64_t sram_bytes_;
  const int64_t dram_bytes_;
  const char* kernels_;
  decltype(Kernels::flip) flip_;
  Slab slab_;
  std::vector<Transfer> transfers_;
  std::vector<Chain> chains_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Arena>> resting_;
};

}  // namespace furiosa
