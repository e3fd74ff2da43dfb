// Parts: weights with a zero point as a sum of weights without one, for kernels that multiply bytes.
#pragma once

#include <algorithm>
#include <cstdint>

namespace furiosa {

// The weights as they are, and the zero point's opposite in one part or, as 128 is no int8, in two.
class Parts {
 public:
  explicit Parts(int zero)
      : count_(zero == 0 ? 1 : 2 + (zero == -128)), rest_(int8_t(count_ > 1 ? -zero / (count_ - 1) : 0)) {}

  int count() const { return count_; }
  int8_t rest() const { return rest_; }  // each part after the first

  // Writes all parts of `count` weights, one after the other.
  void split(const int8_t* weights, int64_t count, int8_t* to) const {
    std::copy(weights, weights + count, to);
    std::fill(to + count, to + count * count_, rest_);
  }

 private:
  int count_;
  int8_t rest_;
};

}  // namespace furiosa
