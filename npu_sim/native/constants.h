// Which bytes of SRAM hold which constants while a program is being prepared, and which Loads that makes needless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "accesses.h"
#include "intervals.h"

namespace furiosa {

// Follows the SRAM through a program in order. A kernel that takes its constants straight from the file, or packs a
// copy, leaves the Load that would bring them to SRAM without readers; such a Load need not be executed.
class Constants {
 public:
  Constants(const uint8_t* data, int64_t size) : data_(data), size_(size) {}

  const uint8_t* data() const { return data_; }
  int64_t size() const { return size_; }

  // Step `step` loads: remember what lies where.
  void load(const Load& inst, size_t step);
  // SRAM bytes [start, end) change.
  void write(int64_t start, int64_t end) { sources_.erase(start, end); }
  // SRAM bytes [start, end) are read at run time.
  void read(int64_t start, int64_t end);
  // The constant at SRAM bytes [start, start + size), or null (then they count as read).
  const uint8_t* find(int64_t start, int64_t size);

  bool needed(size_t step) const { return step >= needed_.size() || needed_[step]; }

 private:
  struct Source {
    int64_t shift;  // from the SRAM address of a byte to that in the constants
    size_t step;    // the Load
  };

  const uint8_t* data_;
  int64_t size_;
  Intervals<Source> sources_;
  std::vector<bool> needed_;
};

}  // namespace furiosa
