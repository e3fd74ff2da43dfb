// Worker threads: a team executes loops one after the other, its members take turns at contiguous pieces of each.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace furiosa {

// Constants that a loop begins with: each member reads all of them, or its own part when they are `shared_out`.
struct Wanted {
  const uint8_t* data = nullptr;
  int64_t bytes = 0;
  bool shared_out = false;
};

// Calls body(begin, end, scratch) for disjoint ranges that cover [0, count). Who gets which range is open: a member
// that the system has put aside does not hold up the others.
struct Loop {
  int64_t count;
  int64_t work;  // about how many bytes or operations; a small loop is left to the caller
  std::function<void(int64_t begin, int64_t end, uint8_t* scratch)> body;
  int64_t scratch = 0;  // bytes of memory that a member needs for itself
  Wanted wanted = {};
};

using Loops = std::vector<Loop>;

// A caller and `size() - 1` workers that stay alive between loops.
class Team {
 public:
  virtual ~Team() = default;
  virtual int size() const = 0;

  // Executes loops [first, end), each when the one before is done. A late worker may hold the loops for longer, but
  // calls none of their bodies then.
  virtual void run(const std::shared_ptr<const Loops>& loops, size_t first, size_t end) = 0;
  void run(Loop loop) { run(std::make_shared<const Loops>(1, std::move(loop)), 0, 1); }
};

// A team for one caller, taken from those that rest or newly made; it goes back to rest with the lease.
class Lease {
 public:
  explicit Lease(int threads);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Team* operator->() const { return team_.get(); }

 private:
  std::unique_ptr<Team> team_;
};

}  // namespace furiosa
