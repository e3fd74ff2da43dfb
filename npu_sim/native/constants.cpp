// Constants in SRAM: see constants.h.
#include "constants.h"

#include "strided.h"

namespace furiosa {

void Constants::load(const Load& inst, size_t step) {
  const Strided<2> box(inst.dst.shape, {inst.dst.strides, inst.src_strides});
  const int64_t size = box.size(), start = inst.dst.address;
  write(start, end_of(inst.dst));
  bool dense = true;
  box.runs(0, size, [&](const auto&, int64_t length) { dense = dense && length == size; });
  dense = dense && (size == 1 || (box.inner(0) == 1 && box.inner(1) == 1));
  if (!dense || inst.src + size > size_) return;
  needed_.resize(step + 1, true);
  needed_[step] = false;
  pieces_[start] = {start + size, inst.src, step};
}

void Constants::write(int64_t start, int64_t end) {
  for (auto at = first(start); at != pieces_.end() && at->first < end;) {
    const int64_t begin = at->first;
    const Piece piece = at->second;
    at = pieces_.erase(at);
    if (begin < start) pieces_[begin] = {start, piece.source, piece.step};
    if (piece.end > end) at = pieces_.insert({end, {piece.end, piece.source + end - begin, piece.step}}).first;
  }
}

void Constants::read(int64_t start, int64_t end) {
  for (auto at = first(start); at != pieces_.end() && at->first < end; ++at) needed_[at->second.step] = true;
}

const uint8_t* Constants::find(int64_t start, int64_t size) {
  const auto at = first(start);
  if (at != pieces_.end() && at->first <= start && at->second.end >= start + size) {
    return data_ + at->second.source + start - at->first;
  }
  read(start, start + size);
  return nullptr;
}

// The first piece that ends after `start`.
std::map<int64_t, Constants::Piece>::iterator Constants::first(int64_t start) {
  auto at = pieces_.upper_bound(start);
  if (at != pieces_.begin()) {
    auto before = std::prev(at);
    if (before->second.end > start) return before;
  }
  return at;
}

}  // namespace furiosa
