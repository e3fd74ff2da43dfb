// Loops over strided boxes: several operands walked together, axes merged, innermost runs handed to a body.
#pragma once

#include <array>
#include <cstdint>

#include "instructions.h"

namespace furiosa {

// The index space of an instruction and the byte strides of its N operands in it.
template <int N>
class Strided {
 public:
  static constexpr int kAxes = 6;

  template <int Rank>
  Strided(const int32_t (&shape)[Rank], const std::array<const int32_t*, N>& strides) {
    static_assert(Rank <= kAxes);
    for (int axis = 0; axis < Rank; ++axis) {
      if (shape[axis] != 1) append(shape[axis], strides, axis);
    }
    if (axes_ == 0) {
      axes_ = 1;
      shape_[0] = 1;
      for (int k = 0; k < N; ++k) strides_[k][0] = 1;
    }
  }

  int64_t size() const {
    int64_t size = 1;
    for (int axis = 0; axis < axes_; ++axis) size *= shape_[axis];
    return size;
  }

  // The byte stride of operand `k` inside a run.
  int64_t inner(int k) const { return strides_[k][axes_ - 1]; }

  // The elements of the longest runs.
  int64_t length() const { return shape_[axes_ - 1]; }

  // The same box without its innermost axis; a single point if that is the only one.
  Strided outer() const {
    Strided box = *this;
    if (box.axes_ > 1) --box.axes_;
    else box.shape_[0] = 1;
    return box;
  }

  // Calls body(offsets, length) for the runs of elements `begin` to `end`; offsets[k] is operand k's first byte.
  template <class Body>
  void runs(int64_t begin, int64_t end, Body&& body) const {
    int64_t index[kAxes], rest = begin;
    std::array<int64_t, N> offsets{};
    for (int axis = axes_ - 1; axis >= 0; --axis) {
      index[axis] = rest % shape_[axis];
      rest /= shape_[axis];
      for (int k = 0; k < N; ++k) offsets[k] += index[axis] * strides_[k][axis];
    }
    const int last = axes_ - 1;
    for (int64_t left = end - begin; left > 0;) {
      int64_t length = shape_[last] - index[last];
      if (length > left) length = left;
      body(static_cast<const std::array<int64_t, N>&>(offsets), length);
      left -= length;
      advance(index, offsets, length);
    }
  }

 private:
  void append(int64_t extent, const std::array<const int32_t*, N>& strides, int axis) {
    bool merges = axes_ > 0;
    for (int k = 0; merges && k < N; ++k) merges = strides_[k][axes_ - 1] == extent * strides[k][axis];
    if (!merges) {
      shape_[axes_] = 1;
      ++axes_;
    }
    shape_[axes_ - 1] *= extent;
    for (int k = 0; k < N; ++k) strides_[k][axes_ - 1] = strides[k][axis];
  }

  void advance(int64_t* index, std::array<int64_t, N>& offsets, int64_t length) const {
    int axis = axes_ - 1;
    index[axis] += length;
    for (int k = 0; k < N; ++k) offsets[k] += length * strides_[k][axis];
    while (axis > 0 && index[axis] == shape_[axis]) {
      for (int k = 0; k < N; ++k) offsets[k] += strides_[k][axis - 1] - shape_[axis] * strides_[k][axis];
      index[axis--] = 0;
      ++index[axis];
    }
  }

  int axes_ = 0;
  int64_t shape_[kAxes] = {};
  int64_t strides_[N][kAxes];
};

}  // namespace furiosa
