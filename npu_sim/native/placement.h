// Placement: where in our memory lies what an instruction leaves in SRAM for others.
#pragma once

#include <cstdint>
#include <vector>

#include "instructions.h"

namespace furiosa {

// Moves what instructions hand to each other from its place in SRAM to a lane: memory behind SRAM for things that are
// not wanted at the same time, each with the first half of its rows before the middle of the lane and the second half
// behind it. Where two threads share out rows, each writes over what it has in its cache then; a tensor that begins
// where another one did lies half in the other's. No result changes. Returns the bytes of SRAM and lanes.
int64_t place(std::vector<Instruction>& instructions, int64_t sram_bytes);

}  // namespace furiosa
