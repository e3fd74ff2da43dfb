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

void Chain::plan(const Run& run, int threads, Loops& loops) const {
  const auto [bands, scratch] = steps_.size() > 1 ? this->bands(threads) : Bands{0, 0};
  if (bands > 0) {
    const auto tasks = [this, &run, bands = bands](int64_t begin, int64_t end, uint8_t* scratch) {
      for (int64_t task = begin; task < end; ++task) {
        for (const Step& step : steps_) step.rows->compute(run, Band(step.rows->y, task, bands), scratch);
      }
    };
    loops.push_back({steps_.front().rows->y.shape[0] * bands, work_, tasks, scratch, steps_.front().wanted});
    return;
  }
  for (const Step& step : steps_) {
    Task task = step.task(threads);
    const auto part = [body = std::move(task.body), &run](int64_t begin, int64_t end, uint8_t* scratch) {
      body(run, begin, end, scratch);
    };
    loops.push_back({task.count, task.work, part, task.scratch, step.wanted});
  }
}

// Into how many bands an image is cut; 0 when the steps are better run one by one.
Bands Chain::bands(int threads) const {
  const View& y = steps_.front().rows->y;
  Bands all{ceil_div(threads, y.shape[0]), 0};
  for (const Step& step : steps_) {
    const Bands bands = step.rows->bands(threads);
    if (bands.count == 0) return {0, 0};
    all = {std::max(all.count, bands.count), std::max(all.scratch, bands.scratch)};
  }
  return {std::min<int64_t>(y.shape[1], all.count), all.scratch};
}

}  // namespace furiosa
