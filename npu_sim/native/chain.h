// Chains: consecutive steps done band by band. What a step leaves in the cache the next one finds there, and threads
// meet once a chain instead of once a step.
#pragma once

#include <vector>

#include "steps.h"

namespace furiosa {

class Chain {
 public:
  // Whether the bands of a step may follow those of the steps before: no band needs, or changes, bytes that another
  // band changes.
  bool takes(const Step& next) const;
  void append(Step next);
  // Appends the loops of an execution; the chain and the execution must outlive their use.
  void plan(const Run& run, int threads, Loops& loops) const;

 private:
  struct Access {
    View view;
    bool writes;
    bool same;  // only the rows of the band
  };

  static std::vector<Access> accesses(const Rows& rows);
  Bands bands(int threads) const;

  std::vector<Step> steps_;
  std::vector<Access> accesses_;
  int64_t work_ = 0;
};

}  // namespace furiosa
