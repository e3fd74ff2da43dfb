// Worker threads: a team executes one loop at a time, its members take turns at contiguous pieces of it.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace furiosa {

// Constants that the next step begins with: each member reads all of them, or its own part when they are `shared_out`.
struct Wanted {
  const uint8_t* data = nullptr;
  int64_t bytes = 0;
  bool shared_out = false;
};

// A caller and `size() - 1` workers that stay alive between loops.
class Team {
 public:
  virtual ~Team() = default;
  virtual int size() const = 0;

  // Calls body(begin, end, member) for disjoint ranges that cover [0, count), and returns when all are done. Who gets
  // which range is open: a member that the system has put aside does not hold up the others. `work` is about how many
  // bytes or operations the loop handles; a small loop runs on the caller only.
  template <class Body>
  void loop(int64_t count, int64_t work, Body&& body) {
    if (size() == 1 || count < 2 || work < kWorthSharing) {
      if (count > 0) body(int64_t(0), count, 0);
      return;
    }
    using Plain = std::remove_reference_t<Body>;
    share(
        count, [](void* f, int64_t begin, int64_t end, int member) { (*static_cast<Plain*>(f))(begin, end, member); },
        &body);
  }

  // Members that have finished their part of a loop bring this near while they wait for the others.
  void want(const Wanted& wanted) { wanted_ = wanted; }

 protected:
  using Call = void (*)(void* body, int64_t begin, int64_t end, int member);
  static constexpr int64_t kWorthSharing = 32768;
  virtual void share(int64_t count, Call call, void* body) = 0;
  Wanted wanted_;
};

// A team for one caller, taken from those that rest or newly made; it goes back to rest with the lease.
class Lease {
 public:
  explicit Lease(int threads);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Team& operator*() const { return *team_; }
  Team* operator->() const { return team_.get(); }

 private:
  std::unique_ptr<Team> team_;
};

}  // namespace furiosa
