// Variants of the kernels: see variants.h.
#include "variants.h"

#include <stdexcept>

namespace furiosa {

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> found{&portable_kernels()};
#ifdef FURIOSA_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&avx2_kernels());
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")) {
    found.push_back(&avx512_kernels());
#ifdef FURIOSA_AMX
    if (amx_supported()) found.push_back(&amx_kernels());
#endif
  }
#endif
  return found;
}

const Kernels& best_kernels() {
  static const Kernels& best = *available_kernels().back();
  return best;
}

const Kernels& kernels_named(const std::string& name) {
  for (const Kernels* kernels : available_kernels()) {
    if (name == kernels->name) return *kernels;
  }
  throw std::invalid_argument("this processor has no kernels `" + name + "`");
}

}  // namespace furiosa
