// Intervals: a value for each byte of a memory, or none.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>

namespace furiosa {

template <class T>
class Intervals {
 public:
  // Bytes [begin, end) have this value from now on.
  void set(int64_t begin, int64_t end, const T& value) {
    erase(begin, end);
    pieces_[begin] = {end, value};
  }

  // Bytes [begin, end) have none.
  void erase(int64_t begin, int64_t end) {
    for (auto at = first(begin); at != pieces_.end() && at->first < end;) {
      const int64_t start = at->first;
      const Piece piece = at->second;
      at = pieces_.erase(at);
      if (start < begin) pieces_[start] = {begin, piece.value};
      if (piece.end > end) at = pieces_.insert({end, piece}).first;
    }
  }

  // Calls body(start, stop, value) for the pieces that overlap [begin, end), in order.
  template <class Body>
  void each(int64_t begin, int64_t end, Body&& body) const {
    for (auto at = first(begin); at != pieces_.end() && at->first < end; ++at) {
      body(at->first, at->second.end, at->second.value);
    }
  }

 private:
  struct Piece {
    int64_t end;
    T value;
  };

  // The first piece that ends after `begin`.
  auto first(int64_t begin) const {
    auto at = pieces_.upper_bound(begin);
    if (at != pieces_.begin() && std::prev(at)->second.end > begin) --at;
    return at;
  }

  std::map<int64_t, Piece> pieces_;  // by first byte, disjoint
};

}  // namespace furiosa
