// Worker threads: see threads.h.
#include "threads.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#ifndef _WIN32
#include <pthread.h>
#endif

namespace furiosa {
namespace {

// Workers look for the next loop this many times before they sleep: instructions follow each other closely.
constexpr int kSpins = 10000;
constexpr int64_t kPieces = 4;  // of a loop, for each member

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// A loop is announced by a new number in `state_`, together with a flag that it is open and the count of workers inside.
// Only who joins an open loop is waited for.
class Workers final : public Team {
 public:
  explicit Workers(int threads) : size_(threads), shares_(size_t(threads)) {
    for (int member = 1; member < threads; ++member) workers_.emplace_back([this, member] { work(member); });
  }

  ~Workers() override {
    stop_ = true;
    announce();
    for (std::thread& worker : workers_) worker.join();
  }

  int size() const override { return size_; }

 protected:
  void share(int64_t count, Call call, void* body) override {
    count_ = count;
    call_ = call;
    body_ = body;
    piece_ = std::max<int64_t>(1, count / (size_ * kPieces));
    const int64_t unit = piece_ > 64 ? 64 : 1;
    piece_ = (piece_ + unit - 1) / unit * unit;
    for (int member = 0; member < size_; ++member) {
      shares_[size_t(member)].next.store(begin_of(member, unit), std::memory_order_relaxed);
      shares_[size_t(member)].end = member + 1 < size_ ? begin_of(member + 1, unit) : count;
    }
    announce();
    pieces(0);
    state_.fetch_and(~kOpen);
    for (int spins = 0; (state_.load(std::memory_order_acquire) & kInside) != 0; ++spins) {
      if (spins < kSpins) pause();
      else std::this_thread::yield();
    }
  }

 private:
  // A contiguous part of a loop, taken piece by piece: by one member, then by those that have finished theirs. From loop to
  // loop a member stays at about the same part of an image, which its cache then holds.
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  static constexpr uint64_t kInside = 0xFFFF, kOpen = 0x10000, kNumber = ~(kInside | kOpen), kStep = 0x20000;

  void announce() {
    state_.store(((state_.load() & kNumber) + kStep) | kOpen);
    if (asleep_.load() == 0) return;
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }

  int64_t begin_of(int member, int64_t unit) const { return count_ * member / size_ / unit * unit; }

  void pieces(int member) {
    for (int other = 0; other < size_; ++other) {
      Share& share = shares_[size_t((member + other) % size_)];
      while (share.next.load(std::memory_order_relaxed) < share.end) {  // a look does not take the line from its owner
        const int64_t begin = share.next.fetch_add(piece_, std::memory_order_relaxed);
        if (begin >= share.end) break;
        call_(body_, begin, std::min(begin + piece_, share.end), member);
      }
    }
  }

  void work(int member) {
    for (uint64_t seen = 0;;) {
      for (int spins = 0; spins < kSpins && number() == seen; ++spins) pause();
      if (number() == seen) sleep(seen);
      if (stop_) return;
      uint64_t state = state_.load(std::memory_order_acquire);
      seen = state & kNumber;
      if ((state & kOpen) == 0 || !state_.compare_exchange_strong(state, state + 1)) {
        if (state & kOpen) seen -= kStep;  // somebody else joined at this moment: look again
        continue;
      }
      pieces(member);
      state_.fetch_sub(1, std::memory_order_release);
    }
  }

  void sleep(uint64_t seen) {
    std::unique_lock<std::mutex> lock(mutex_);
    asleep_.fetch_add(1);
    wake_.wait(lock, [&] { return number() != seen; });
    asleep_.fetch_sub(1);
  }

  uint64_t number() const { return state_.load() & kNumber; }

  const int size_;
  std::vector<Share> shares_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> asleep_{0};
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<uint64_t> state_{0};  // with the loop, in one line of the cache
  int64_t count_ = 0;
  int64_t piece_ = 1;
  Call call_ = nullptr;
  void* body_ = nullptr;
};

struct Resting {
  std::mutex mutex;
  std::vector<std::unique_ptr<Team>> teams;
};

Resting* resting_teams = nullptr;

// Teams are never destroyed at exit: Python threads may still be inside a loop then.
Resting& resting() {
  static std::once_flag once;
  std::call_once(once, [] {
    resting_teams = new Resting;
#ifndef _WIN32
    // The threads of a team do not exist in a forked child, so a child starts without teams.
    pthread_atfork(nullptr, nullptr, [] { resting_teams = new Resting; });
#endif
  });
  return *resting_teams;
}

}  // namespace

Lease::Lease(int threads) {
  Resting& rest = resting();
  {
    std::lock_guard<std::mutex> lock(rest.mutex);
    for (auto team = rest.teams.begin(); team != rest.teams.end(); ++team) {
      if ((*team)->size() == threads) {
        team_ = std::move(*team);
        rest.teams.erase(team);
        return;
      }
    }
  }
  team_ = std::make_unique<Workers>(threads);
}

Lease::~Lease() {
  Resting& rest = resting();
  std::lock_guard<std::mutex> lock(rest.mutex);
  rest.teams.push_back(std::move(team_));
}

}  // namespace furiosa
