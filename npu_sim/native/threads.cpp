// Worker threads: see threads.h.
#include "threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#ifndef _WIN32
#include <pthread.h>
#endif

namespace furiosa {
namespace {

// Workers look for the next loop so long before they sleep: instructions follow each other closely, and inferences
// often do. To wake a thread up takes longer than most loops.
constexpr std::chrono::microseconds kPatience{1000};
constexpr int kLooks = 64;           // from one look at the clock to the next
constexpr int kSpins = 10000;        // of the caller, before it lets others have the processor
constexpr int64_t kPieces = 4;       // of a loop, for each member
constexpr int64_t kNear = 64 << 10;  // bytes that a member brings near while it waits
constexpr int64_t kCacheLine = 64;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// The caller announces a loop by a new number. Whoever takes a piece of it has found its number, and the caller waits
// for all pieces, not for all workers. Threads share as few lines of memory as they can: one for the loop, one for what
// is done, and one for each member's share, which the others only look at when they have finished theirs.
class Workers final : public Team {
 public:
  explicit Workers(int threads) : size_(threads), shares_(size_t(threads)) {
    for (int member = 1; member < threads; ++member) workers_.emplace_back([this, member] { work(member); });
  }

  ~Workers() override {
    stop_ = true;
    number_ += 2;
    wake();
    for (std::thread& worker : workers_) worker.join();
  }

  int size() const override { return size_; }

 protected:
  void share(int64_t count, Call call, void* body) override {
    const int64_t least = std::max<int64_t>(1, count / (size_ * kPieces)), unit = least > 64 ? 64 : 1;
    const Loop loop{count, (least + unit - 1) / unit * unit, call, body, wanted_};
    const uint64_t number = number_.load(std::memory_order_relaxed) + 2;
    done_.store(0, std::memory_order_relaxed);
    announce(loop, number);
    const int64_t own = pieces(loop, number, 0);
    const auto done = [&] { return done_.load(std::memory_order_acquire) + own == loop.pieces(); };
    bring_near(loop.wanted, 0, done);
    for (int spins = 0; !done();) {
      if (++spins < kSpins) pause();
      else std::this_thread::yield();
    }
  }

 private:
  struct Loop {
    int64_t count, piece;
    Call call;
    void* body;
    Wanted wanted;

    int64_t pieces() const { return (count + piece - 1) / piece; }
  };
  static constexpr size_t kWords = sizeof(Loop) / sizeof(uint64_t);
  static_assert(sizeof(Loop) % sizeof(uint64_t) == 0);

  // A contiguous part of a loop, taken piece by piece: by one member, then by those that have finished theirs. From
  // loop to loop a member stays at about the same part of an image, which its cache then holds.
  struct alignas(64) Share {
    std::atomic<uint64_t> taken{0};  // kTaken * number of the loop + pieces
  };
  static constexpr uint64_t kTaken = 1 << 16;

  // While the number is odd the loop is being written: a reader finds the same even number before and after.
  void announce(const Loop& loop, uint64_t number) {
    number_.store(number - 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    uint64_t words[kWords];
    std::memcpy(words, &loop, sizeof loop);
    for (size_t k = 0; k < kWords; ++k) words_[k].store(words[k], std::memory_order_relaxed);
    number_.store(number);
    wake();
  }

  bool read(Loop& loop, uint64_t number) const {
    uint64_t words[kWords];
    for (size_t k = 0; k < kWords; ++k) words[k] = words_[k].load(std::memory_order_relaxed);
    std::memcpy(&loop, words, sizeof loop);
    std::atomic_thread_fence(std::memory_order_acquire);
    return number % 2 == 0 && number_.load(std::memory_order_relaxed) == number;
  }

  // Does pieces of a loop until all are taken; returns how many it did.
  int64_t pieces(const Loop& loop, uint64_t number, int member) {
    const int64_t pieces = loop.pieces();
    int64_t done = 0;
    for (int other = 0; other < size_; ++other) {
      const int64_t owner = (member + other) % size_, first = pieces * owner / size_,
                    end = pieces * (owner + 1) / size_;
      if (member > 0 && other > 0 && end - first < 2) continue;  // its owner has it, or the caller will take it
      for (int64_t piece; (piece = take(shares_[size_t(owner)], first, end, number)) < end; ++done) {
        const int64_t begin = piece * loop.piece;
        loop.call(loop.body, begin, std::min(begin + loop.piece, loop.count), member);
      }
    }
    return done;
  }

  // The next piece of a share, or `end`.
  static int64_t take(Share& share, int64_t first, int64_t end, uint64_t number) {
    uint64_t taken = share.taken.load(std::memory_order_relaxed);
    for (;;) {
      if (taken / kTaken > number) return end;  // of a later loop
      const int64_t pieces = taken / kTaken == number ? int64_t(taken % kTaken) : 0;
      if (first + pieces >= end) return end;
      const uint64_t next = number * kTaken + uint64_t(pieces) + 1;
      if (share.taken.compare_exchange_weak(taken, next, std::memory_order_relaxed)) return first + pieces;
    }
  }

  // Brings into this member's cache what it will read next, until there is something better to do. A late worker's loop
  // may be over and its addresses gone by then: to fetch ahead from those is harmless.
  template <class Ready>
  void bring_near(const Wanted& wanted, int member, Ready ready) const {
    constexpr int64_t kLines = 4;  // from one look to the next
    const int64_t first = wanted.shared_out ? wanted.bytes * member / size_ : 0;
    const int64_t end = std::min(first + kNear, wanted.bytes);
    for (int64_t at = first; at < end && !ready(); at += kLines * kCacheLine) {
      for (int64_t line = 0; line < kLines; ++line) __builtin_prefetch(wanted.data + at + line * kCacheLine, 0, 2);
    }
  }

  void work(int member) {
    for (uint64_t seen = 0;;) {
      if (!look(seen)) sleep(seen);
      if (stop_) return;
      const uint64_t number = number_.load(std::memory_order_acquire);
      Loop loop;
      if (!read(loop, number)) continue;
      seen = number;
      if (const int64_t done = pieces(loop, number, member)) done_.fetch_add(done, std::memory_order_release);
      bring_near(loop.wanted, member, [&] { return number_.load(std::memory_order_relaxed) != seen; });
    }
  }

  // Whether another loop, or the end, is announced in time.
  bool look(uint64_t seen) const {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    do {
      for (int looks = 0; looks < kLooks; ++looks, pause()) {
        if (number_.load(std::memory_order_relaxed) != seen) return true;
      }
    } while (std::chrono::steady_clock::now() < end);
    return false;
  }

  void sleep(uint64_t seen) {
    std::unique_lock<std::mutex> lock(mutex_);
    asleep_.fetch_add(1);
    wake_.wait(lock, [&] { return number_.load() != seen; });
    asleep_.fetch_sub(1);
  }

  void wake() {
    if (asleep_.load() == 0) return;
    {
      std::lock_guard<std::mutex> lock(mutex_);
    }
    wake_.notify_all();
  }

  const int size_;
  std::vector<Share> shares_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> asleep_{0};
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<uint64_t> number_{0};
  std::atomic<uint64_t> words_[kWords] = {};  // of the loop
  alignas(64) std::atomic<int64_t> done_{0};  // pieces, by workers
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
