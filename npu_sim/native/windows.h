// Windows: which pixels of the image each output of a pooling instruction sees.
#pragma once

#include <algorithm>

#include "instructions.h"

namespace furiosa {

// Taps [first, end) of a window along one axis that lie in rows (or columns) [low, high).
struct Taps {
  int first;
  int end;

  Taps(int start, int kernel, int dilation, int low, int high) {
    first = start >= low ? 0 : (low - start + dilation - 1) / dilation;
    end = start >= high ? 0 : std::min(kernel, (high - start + dilation - 1) / dilation);
    first = std::min(first, end);
  }

  int count() const { return end - first; }
};

}  // namespace furiosa
