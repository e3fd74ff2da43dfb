// The variants of the kernels that this processor can execute.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace furiosa {

// Best last; always begins with the portable one.
std::vector<const Kernels*> available_kernels();

// The last of them.
const Kernels& best_kernels();

// Throws std::invalid_argument when this processor cannot execute the variant or it does not exist.
const Kernels& kernels_named(const std::string& name);

}  // namespace furiosa
