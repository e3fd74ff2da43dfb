// Worker threads: see threads.h.
#include "threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "buffer.h"

#ifndef _WIN32
#include <pthread.h>
#endif

namespace furiosa {
namespace {

// Workers look for the next loops so long before they sleep: inferences often follow each other closely, and to wake a
// thread up takes longer than most loops.
constexpr std::chrono::microseconds kPatience{1000};
constexpr int kLooks = 64;      // from one look at the clock to the next
constexpr int kSpins = 10000;   // of a member that waits, before it lets others have the processor
constexpr int64_t kPieces = 4;  // of a loop, for each member
constexpr int64_t kWorthSharing = 32768;
constexpr int64_t kNear = 64 << 10;  // bytes that a member brings near while it waits
constexpr int64_t kCacheLine = 64;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// How a loop is cut: into contiguous shares, one a member, and these into pieces. From loop to loop a member stays at
// about the same part of an image, which its cache then holds.
struct Pieces {
  Pieces(const Loop& loop, int members) : members(members), whole(loop.count) {
    const int64_t least = std::max<int64_t>(1, loop.count / (members * kPieces)), unit = least > 64 ? 64 : 1;
    size = shared(loop, members) ? (least + unit - 1) / unit * unit : std::max<int64_t>(1, loop.count);
    count = (loop.count + size - 1) / size;
  }

  static bool shared(const Loop& loop, int members) {
    return members > 1 && loop.count > 1 && loop.work >= kWorthSharing;
  }
  int64_t first(int member) const { return (count * member + members - 1) / members; }
  int64_t begin(int64_t piece) const { return piece * size; }
  int64_t end(int64_t piece) const { return std::min(begin(piece) + size, whole); }

  int64_t members, whole, size, count;
};

// The caller announces loops by a new number, and every member goes through all of them: it takes pieces of a loop
// until none is left, and waits until all are done. Nobody waits for a member that has taken nothing. Members share as
// few lines of memory as they can: one for what is done, and one for each member's share, which the others only look at
// when they have finished theirs.
class Workers final : public Team {
 public:
  explicit Workers(int threads) : size_(threads), shares_(size_t(threads)) {
    for (int member = 1; member < threads; ++member) workers_.emplace_back([this, member] { work(member); });
  }

  ~Workers() override {
    stop_ = true;
    announce({}, 1);
    for (std::thread& worker : workers_) worker.join();
  }

  int size() const override { return size_; }

  void run(const std::shared_ptr<const Loops>& loops, size_t first, size_t end) override {
    const auto shared = [&](const Loop& loop) { return Pieces::shared(loop, size_); };
    const auto from = loops->begin() + int64_t(first), to = loops->begin() + int64_t(end);
    scratch_.reserve(scratch(*loops, first, end));
    if (std::none_of(from, to, shared)) {
      std::for_each(from, to, [&](const Loop& loop) {
        if (loop.count > 0) loop.body(0, loop.count, scratch_.as());
      });
      return;
    }
    const Job job{loops, first, end, number_.load(std::memory_order_relaxed), done_.load(std::memory_order_relaxed)};
    announce(job, end - first);
    execute(job, 0, scratch_.as());
    std::lock_guard<std::mutex> lock(mutex_);
    job_.loops.reset();
  }

 private:
  struct Job {
    std::shared_ptr<const Loops> loops;
    size_t first, end;
    uint64_t number;  // of all loops before
    uint64_t done;    // pieces of all loops before
  };

  struct alignas(64) Share {
    std::atomic<uint64_t> taken{0};  // kTaken * number of the loop + pieces
  };
  static constexpr uint64_t kTaken = 1 << 16;

  static size_t scratch(const Loops& loops, size_t first, size_t end) {
    int64_t most = 0;
    for (size_t k = first; k < end; ++k) most = std::max(most, loops[k].scratch);
    return size_t(most);
  }

  void announce(const Job& job, uint64_t loops) {
    std::lock_guard<std::mutex> lock(mutex_);
    job_ = job;
    number_.store(number_.load(std::memory_order_relaxed) + loops);
    if (asleep_ > 0) wake_.notify_all();
  }

  void execute(const Job& job, int member, uint8_t* scratch) noexcept {
    uint64_t number = job.number, target = job.done;
    for (size_t k = job.first; k < job.end; ++k) {
      const Loop& loop = (*job.loops)[k];
      const Pieces pieces(loop, size_);
      const int64_t done = take_part(loop, pieces, ++number, member, scratch);
      if (done > 0) done_.fetch_add(uint64_t(done), std::memory_order_release);
      target += uint64_t(pieces.count);
      wait(target, k + 1 < job.end ? (*job.loops)[k + 1].wanted : Wanted(), member);
    }
  }

  // Does pieces of a loop until all are taken; returns how many it did.
  int64_t take_part(const Loop& loop, const Pieces& pieces, uint64_t number, int member, uint8_t* scratch) {
    int64_t done = 0;
    for (int other = 0; other < size_; ++other) {
      const int owner = (member + other) % size_;
      const int64_t first = pieces.first(owner), end = pieces.first(owner + 1);
      if (member > 0 && other > 0 && end - first < 2) continue;  // its owner has it, or the caller will take it
      for (int64_t piece; (piece = take(shares_[size_t(owner)], first, end, number)) < end; ++done) {
        loop.body(pieces.begin(piece), pieces.end(piece), scratch);
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

  // Until so many pieces are done. Meanwhile brings into this member's cache what it will read next.
  void wait(uint64_t target, const Wanted& wanted, int member) const {
    constexpr int64_t kLines = 4;  // from one look to the next
    const auto ready = [&] { return done_.load(std::memory_order_acquire) >= target; };
    const int64_t first = wanted.shared_out ? wanted.bytes * member / size_ : 0;
    const int64_t end = std::min(first + kNear, wanted.bytes);
    for (int64_t at = first; at < end && !ready(); at += kLines * kCacheLine) {
      for (int64_t line = 0; line < kLines; ++line) __builtin_prefetch(wanted.data + at + line * kCacheLine, 0, 2);
    }
    for (int spins = 0; !ready();) {
      if (++spins < kSpins) pause();
      else std::this_thread::yield();
    }
  }

  void work(int member) {
    Buffer scratch;
    for (uint64_t seen = 0;;) {
      if (!look(seen)) sleep(seen);
      if (stop_) return;
      Job job;
      {
        std::lock_guard<std::mutex> lock(mutex_);
        job = job_;
        seen = number_.load(std::memory_order_relaxed);
      }
      if (job.loops == nullptr) continue;  // it is over
      try {
        scratch.reserve(this->scratch(*job.loops, job.first, job.end));
      } catch (const std::bad_alloc&) {
        continue;  // the others do it
      }
      execute(job, member, scratch.as());
    }
  }

  // Whether other loops, or the end, are announced in time.
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
    ++asleep_;
    wake_.wait(lock, [&] { return number_.load(std::memory_order_relaxed) != seen; });
    --asleep_;
  }

  const int size_;
  std::vector<Share> shares_;
  std::vector<std::thread> workers_;
  Buffer scratch_;  // of the caller
  std::mutex mutex_;
  std::condition_variable wake_;
  Job job_;
  int asleep_ = 0;
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<uint64_t> number_{0};  // of all loops announced
  alignas(64) std::atomic<uint64_t> done_{0};    // pieces of all loops
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
