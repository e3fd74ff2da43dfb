// Chains: see chain.h.
#include "chain.h"

#include <algorithm>

namespace furiosa {
namespace {

// The bytes that a row spans.
int64_t row_bytes(const View& view) {
  return int64_t(view.shape[2] - 1) * view.strides[2] + int64_t(view.shape[3] - 1) * view.strides[3] + 1;
}

bool disjoint(const View& a, const View& b) { return end_of(a) <= b.address || end_of(b) <= a.address; }

// Whether a row of one view overlaps with no row of the other but the one that has its number.
bool rows_match(const View& a, const View& b) {
  const int64_t images = a.shape[0], height = a.shape[1], pitch = a.strides[1];
  if (b.shape[0] != images || b.shape[1] != height || b.strides[1] != pitch) return false;
  if (images > 1 && (a.strides[0] != b.strides[0] || a.strides[0] < height * pitch)) return false;
  return std::max(a.address + row_bytes(a), b.address + row_bytes(b)) - std::min(a.address, b.address) <= pitch;
}

}  // namespace

std::vector<Chain::Access> Chain::accesses(const Rows& rows) {
  std::vector<Access> all{{rows.y, true, true}};
  for (const View& view : rows.same) all.push_back({view, false, true});
  for (const View& view : rows.other) all.push_back({view, false, false});
  return all;
}

bool Chain::takes(const Step& next) const {
  if (steps_.empty()) return true;
  if (next.rows == nullptr || steps_.back().rows == nullptr) return false;
  const View &y = steps_.front().rows->y, &next_y = next.rows->y;
  if (next_y.shape[0] != y.shape[0] || next_y.shape[1] != y.shape[1]) return false;
  for (const Access& later : accesses(*next.rows)) {
    for (const Access& earlier : accesses_) {
      if ((!later.writes && !earlier.writes) || disjoint(later.view, earlier.view)) continue;
      if (!later.same || !earlier.same || !rows_match(later.view, earlier.view)) return false;
    }
  }
  return true;
}

void Chain::append(Step next) {
  if (next.rows != nullptr) {
    for (const Access& access : accesses(*next.rows)) accesses_.push_back(access);
    work_ += next.rows->work;
  }
  steps_.push_back(std::move(next));
}

void Chain::run(Run& run) const {
  const int64_t bands = steps_.size() > 1 ? this->bands(run) : 0;
  if (bands == 0) {
    for (const Step& step : steps_) step.run(run);
    return;
  }
  const View& y = steps_.front().rows->y;
  run.team.loop(y.shape[0] * bands, work_, [&](int64_t begin, int64_t end, int member) {
    for (int64_t task = begin; task < end; ++task) {
      for (const Step& step : steps_) step.rows->compute(run, Band(step.rows->y, task, bands), member);
    }
  });
}

// Into how many bands an image is cut; 0 when the steps are better run one by one.
int64_t Chain::bands(Run& run) const {
  const View& y = steps_.front().rows->y;
  int64_t most = ceil_div(run.team.size(), y.shape[0]);
  for (const Step& step : steps_) {
    const int64_t bands = step.rows->bands(run);
    if (bands == 0) return 0;
    most = std::max(most, bands);
  }
  return std::min<int64_t>(y.shape[1], most);
}

}  // namespace furiosa
