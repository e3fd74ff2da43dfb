// Constants in SRAM: see constants.h.
#include "constants.h"

#include "strided.h"

namespace furiosa {

void Constants::load(const Load& inst, size_t step) {
  const Strided<2> box(inst.dst.shape, {inst.dst.strides, inst.src_strides});
  const int64_t size = box.size(), start = inst.dst.address;
  bool dense = true;
  box.runs(0, size, [&](const auto&, int64_t length) { dense = dense && length == size; });
  dense = dense && (size == 1 || (box.inner(0) == 1 && box.inner(1) == 1));
  if (!dense || inst.src + size > size_) return;
  needed_.resize(step + 1, true);
  needed_[step] = false;
  sources_.set(start, start + size, {inst.src - start, step});
}

void Constants::read(int64_t start, int64_t end) {
  sources_.each(start, end, [this](int64_t, int64_t, const Source& source) { needed_[source.step] = true; });
}

const uint8_t* Constants::find(int64_t start, int64_t size) {
  const uint8_t* found = nullptr;
  sources_.each(start, start + size, [&](int64_t begin, int64_t end, const Source& source) {
    if (begin <= start && end >= start + size) found = data_ + source.shift + start;
  });
  if (found == nullptr) read(start, start + size);
  return found;
}

}  // namespace furiosa
