// Which bytes of SRAM hold which constants while a program is being prepared, and which Loads that makes needless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "instructions.h"

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
  void write(int64_t start, int64_t end);
  // SRAM bytes [start, end) are read at run time.
  void read(int64_t start, int64_t end);
  // The constant at SRAM bytes [start, start + size), or null (then they count as read).
  const uint8_t* find(int64_t start, int64_t size);

  bool needed(size_t step) const { return step >= needed_.size() || needed_[step]; }

 private:
  struct Piece {
    int64_t end;
    int64_t source;  // address of the first byte in the constants
    size_t step;     // the Load
  };

  std::map<int64_t, Piece>::iterator first(int64_t start);

  const uint8_t* data_;
  int64_t size_;
  std::map<int64_t, Piece> pieces_;  // by first SRAM byte, disjoint
  std::vector<bool> needed_;
};

// The address behind the last byte of what lies at `address`.
template <int Rank>
int64_t end_of(const int32_t (&shape)[Rank], const int32_t (&strides)[Rank], int64_t address) {
  for (int axis = 0; axis < Rank; ++axis) address += int64_t(shape[axis] - 1) * strides[axis];
  return address + 1;
}

inline int64_t end_of(const View& view) { return end_of(view.shape, view.strides, view.address); }

}  // namespace furiosa
