// The peak: how fast one thread multiplies and accumulates with a variant's instructions when nothing holds it up.
#pragma once

#include "kernels.h"

namespace furiosa {

// Multiply-accumulate operations of int8 values a second, measured for a few milliseconds on the calling thread.
double peak(const Kernels& kernels);

}  // namespace furiosa
