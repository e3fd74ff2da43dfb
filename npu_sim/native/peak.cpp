// The peak: see peak.h.
#include "peak.h"

#include <algorithm>
#include <chrono>

namespace furiosa {

// The best of a few runs of a millisecond or more: in others the system may have done something else.
double peak(const Kernels& kernels) {
  double best = 0.0;
  int64_t rounds = 1024;
  for (int runs = 0; runs < 5;) {
    const auto start = std::chrono::steady_clock::now();
    const int64_t products = kernels.multiply(rounds);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (seconds.count() < 0.001) {
      rounds *= 2;
      continue;
    }
    best = std::max(best, double(products) / seconds.count());
    ++runs;
  }
  return best;
}

}  // namespace furiosa
