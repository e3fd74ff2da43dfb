// Things that one execution uses and another may use after it.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace furiosa {

template <class T>
class Pool {
 public:
  // The one that was put back last, or a new one.
  template <class Make>
  std::unique_ptr<T> take(Make make) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!resting_.empty()) {
        std::unique_ptr<T> taken = std::move(resting_.back());
        resting_.pop_back();
        return taken;
      }
    }
    return make();
  }

  void put(std::unique_ptr<T> used) {
    std::lock_guard<std::mutex> lock(mutex_);
    resting_.push_back(std::move(used));
  }

  void clear() {
    std::lock_guard<std::mutex> lock(mutex_);
    resting_.clear();
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> resting_;
};

}  // namespace furiosa
