// Worker threads: see threads.h.
#include "threads.h"

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
constexpr int kSpins = 2000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

class Workers final : public Team {
 public:
  explicit Workers(int threads) : size_(threads) {
    for (int member = 1; member < threads; ++member) workers_.emplace_back([this, member] { work(member); });
  }

  ~Workers() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
      epoch_.fetch_add(1);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  int size() const override { return size_; }

 protected:
  void share(int64_t count, Call call, void* body) override {
    count_ = count;
    call_ = call;
    body_ = body;
    pending_.store(size_ - 1);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      epoch_.fetch_add(1);
    }
    wake_.notify_all();
    part(0);
    for (int spins = 0; pending_.load(std::memory_order_acquire) != 0; ++spins) {
      if (spins < kSpins) pause();
      else std::this_thread::yield();
    }
  }

 private:
  void part(int member) {
    const int64_t begin = count_ * member / size_, end = count_ * (member + 1) / size_;
    if (begin < end) call_(body_, begin, end, member);
  }

  void work(int member) {
    for (uint64_t seen = 0;; ++seen) {
      for (int spins = 0; spins < kSpins && epoch_.load(std::memory_order_acquire) == seen; ++spins) pause();
      if (epoch_.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return epoch_.load() != seen; });
      }
      if (stop_) return;
      part(member);
      pending_.fetch_sub(1, std::memory_order_release);
    }
  }

  const int size_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> epoch_{0};
  std::atomic<int> pending_{0};
  bool stop_ = false;
  int64_t count_ = 0;
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
