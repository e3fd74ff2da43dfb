// Placement: see placement.h.
#include "placement.h"

#include <algorithm>
#include <cstddef>

#include "accesses.h"
#include "intervals.h"

namespace furiosa {
namespace {

constexpr int64_t kLaneBytes = 8 << 20;  // of all lanes at most: what is larger does not stay in caches anyway
constexpr int64_t kLine = 64;
constexpr size_t kLanes = 64;

// Bytes that keep their places relative to each other: what some instructions write and others read together.
struct Web {
  size_t first = SIZE_MAX, last = 0;  // instructions
  int64_t begin = INT64_MAX, end = 0;
  int64_t middle = 0, largest = 0;  // that of the largest write, and its size
  std::vector<int32_t*> addresses;
};

class Webs {
 public:
  Webs() { contents_.set(INT32_MIN, INT64_MAX, kFixed); }

  // The accesses of the next instruction.
  void add(const std::vector<Access>& accesses) {
    const size_t start = uses_.size();
    for (const Access& access : accesses) {
      const size_t use = uses_.size();
      uses_.push_back({access, instructions_, use});
      if (access.kind == Access::kConstant) join(use, kFixed);  // packed elsewhere; weights would fill the lanes
      // What is written without gaps has nothing to do with what lay there, unless the instruction itself reads that.
      const size_t first = access.kind == Access::kWrite && access.dense ? start : kFixed;
      contents_.each(access.begin(), access.end(), [&](int64_t, int64_t, size_t other) {
        if (other >= first) join(use, other);
      });
      contents_.set(access.begin(), access.end(), use);
    }
    ++instructions_;
  }

  // Those that may move, in the order of their first instructions.
  std::vector<Web> all() {
    std::vector<Web> webs(uses_.size());
    for (size_t use = 1; use < uses_.size(); ++use) grow(webs[root(use)], uses_[use]);
    webs.erase(webs.begin());
    webs.erase(std::remove_if(webs.begin(), webs.end(), [](const Web& web) { return web.addresses.empty(); }),
               webs.end());
    return webs;
  }

 private:
  struct Use {
    Access access;
    size_t instruction;
    size_t parent;  // an earlier use of the same web, or itself
  };

  static constexpr size_t kFixed = 0;  // a use of all bytes before the first instruction; its web does not move

  size_t root(size_t use) {
    while (uses_[use].parent != use) use = uses_[use].parent = uses_[uses_[use].parent].parent;
    return use;
  }

  void join(size_t a, size_t b) {
    const auto [low, high] = std::minmax({root(a), root(b)});
    uses_[high].parent = low;
  }

  static void grow(Web& web, const Use& use) {
    const Access& access = use.access;
    web.first = std::min(web.first, use.instruction);
    web.last = std::max(web.last, use.instruction);
    web.begin = std::min(web.begin, access.begin());
    web.end = std::max(web.end, access.end());
    web.addresses.push_back(access.address);
    if (access.kind != Access::kWrite || access.size <= web.largest) return;
    web.largest = access.size;
    web.middle = access.begin() + access.middle;
  }

  std::vector<Use> uses_{{Access{}, 0, kFixed}};
  Intervals<size_t> contents_;  // the last use of a byte
  size_t instructions_ = 0;
};

// Memory for webs that are not wanted at the same time, with their middles at about one address.
struct Lane {
  int64_t before = 0, behind = 0;  // bytes on both sides of the middle
  size_t last = 0;                 // instruction that wants it
  std::vector<Web> webs;

  static int64_t lines(int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

  // The bytes before the middle when it has taken a web. Webs move by whole lines, so they may begin almost a line
  // earlier than asked.
  int64_t before_with(const Web& web) const { return std::max(before, lines(web.middle - web.begin + kLine - 1)); }
  int64_t behind_with(const Web& web) const { return std::max(behind, lines(web.end - web.middle)); }
  int64_t growth(const Web& web) const { return before_with(web) + behind_with(web) - before - behind; }

  void take(const Web& web) {
    before = before_with(web);
    behind = behind_with(web);
    last = web.last;
    webs.push_back(web);
  }

  void move(int64_t middle) const {
    for (const Web& web : webs) {
      const int64_t by = (middle - web.middle) / kLine * kLine;
      for (int32_t* address : web.addresses) *address += int32_t(by);
    }
  }
};

class Lanes {
 public:
  // Takes a web, if there is room for it, into the free lane that was used last and so lies in caches still, or else
  // into a new one. The webs must come in the order of their first instructions.
  void take(const Web& web) {
    Lane* best = nullptr;
    for (Lane& lane : lanes_) {
      const bool fits = lane.last < web.first && lane.growth(web) <= left_;
      if (fits && (best == nullptr || lane.last > best->last)) best = &lane;
    }
    if (best == nullptr) {
      if (lanes_.size() == kLanes || Lane().growth(web) > left_) return;
      best = &lanes_.emplace_back();
    }
    left_ -= best->growth(web);
    best->take(web);
  }

  // Moves the webs to their lanes, which begin at `at`; returns where they end.
  int64_t move(int64_t at) const {
    at = Lane::lines(at);
    for (const Lane& lane : lanes_) {
      lane.move(at + lane.before);
      at += lane.before + lane.behind;
    }
    return at;
  }

 private:
  std::vector<Lane> lanes_;
  int64_t left_ = kLaneBytes;
};

}  // namespace

int64_t place(std::vector<Instruction>& instructions, int64_t sram_bytes) {
  if (sram_bytes > INT32_MAX - 2 * kLaneBytes) return sram_bytes;
  Webs webs;
  for (Instruction& inst : instructions) webs.add(accesses(inst));
  Lanes lanes;
  for (const Web& web : webs.all()) lanes.take(web);
  return lanes.move(sram_bytes);
}

}  // namespace furiosa
