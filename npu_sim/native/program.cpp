// Programs: see program.h.
#include "program.h"

#include <cstring>
#include <stdexcept>

#include "placement.h"

namespace furiosa {
namespace {

struct Header {
  int32_t opcode, words, waits;
};

// The instruction with this header whose body starts at `body`.
template <size_t kIndex = 0>
Instruction read(const Header& head, const char* body) {
  if constexpr (kIndex == std::variant_size_v<Instruction>) {
    throw std::invalid_argument("an opcode is unknown");
  } else {
    using Inst = std::variant_alternative_t<kIndex, Instruction>;
    if (head.opcode != Inst::opcode) return read<kIndex + 1>(head, body);
    if (head.words != int32_t(sizeof(Inst) / 4))
      throw std::invalid_argument("an instruction has a body of the wrong size");
    Inst inst;
    std::memcpy(&inst, body, sizeof(Inst));
    return inst;
  }
}

std::vector<Instruction> read_all(std::string_view code) {
  std::vector<Instruction> instructions;
  for (size_t at = 0; at < code.size();) {
    Header head;
    if (code.size() - at < sizeof(head)) throw std::invalid_argument("the code ends inside an instruction");
    std::memcpy(&head, code.data() + at, sizeof(head));
    at += sizeof(head);
    if (head.words < 0 || head.waits < 0) throw std::invalid_argument("an instruction has a negative size");
    const size_t size = 4 * (size_t(head.words) + size_t(head.waits));
    if (code.size() - at < size) throw std::invalid_argument("the code ends inside an instruction");
    instructions.push_back(read(head, code.data() + at));
    at += size;
  }
  return instructions;
}

Mapping mapping(const Port& port) { return {port.address, port.address + port.size, port.place}; }

}  // namespace

Program::Program(std::string_view code, std::string_view constants, int64_t sram_bytes, int64_t dram_bytes,
                 const Kernels& kernels)
    : constants_(constants),
      sram_bytes_(sram_bytes),
      dram_bytes_(dram_bytes),
      kernels_(kernels.name),
      flip_(kernels.flip) {
  if (sram_bytes < 0 || dram_bytes < int64_t(constants_.size())) {
    throw std::invalid_argument("the constants do not fit into DRAM");
  }
  decode(code, kernels);
}

void Program::decode(std::string_view code, const Kernels& kernels) {
  std::vector<Instruction> instructions = read_all(code);
  sram_bytes_ = place(instructions, sram_bytes_);
  Constants constants(reinterpret_cast<const uint8_t*>(constants_.data()), int64_t(constants_.size()));
  Setup setup{kernels, constants, slab_, transfers_};
  std::vector<Step> steps;
  for (Instruction& inst : instructions) {
    const std::vector<Access> touched = accesses(inst);
    for (const Access& access : touched) {
      if (access.kind == Access::kRead) constants.read(access.begin(), access.end());
    }
    steps.push_back(std::visit([&setup](const auto& inst) { return prepare(inst, setup); }, inst));
    for (const Access& access : touched) {
      if (access.kind == Access::kWrite) constants.write(access.begin(), access.end());
    }
    if (const Load* load = std::get_if<Load>(&inst)) constants.load(*load, steps.size() - 1);
  }
  for (size_t step = 0; step < steps.size(); ++step) {
    if (!constants.needed(step)) continue;
    if (chains_.empty() || !chains_.back().takes(steps[step])) chains_.emplace_back();
    chains_.back().append(std::move(steps[step]));
  }
}

std::unique_ptr<Run> Program::start() const { return std::make_unique<Run>(constants_, sram_bytes_, dram_bytes_); }

void Program::plan(Run& run, const Ports& inputs, const Ports& outputs, int threads, Loops& loops) const {
  for (const Ports* ports : {&inputs, &outputs}) {
    for (const Port& port : *ports) check(port.address, port.size);
  }
  run.mappings.clear();
  for (const Port& port : inputs) {
    if (port.mask == 0 && direct(port.address, port.size, false)) {
      run.mappings.push_back(mapping(port));
      continue;
    }
    loops.push_back({port.size, port.size, [this, port, &run](int64_t begin, int64_t end, uint8_t*) {
                       flip_(*port.place + begin, run.dram + port.address + begin, end - begin, port.mask);
                     }});
  }
  Ports copied;
  for (const Port& port : outputs) {
    if (direct(port.address, port.size, true)) run.mappings.push_back(mapping(port));
    else copied.push_back(port);
  }
  for (const Chain& chain : chains_) chain.plan(run, threads, loops);
  for (const Port& port : copied) {
    loops.push_back({port.size, port.size, [port, &run](int64_t begin, int64_t end, uint8_t*) {
                       std::memcpy(*port.place + begin, run.dram + port.address + begin, size_t(end - begin));
                     }});
  }
}

void Program::run(const Ports& inputs, const Ports& outputs, int threads) const {
  std::unique_ptr<Run> run = runs_.take([this] { return start(); });
  const auto loops = std::make_shared<Loops>();
  plan(*run, inputs, outputs, threads, *loops);
  const Lease team(threads);
  team->run(loops, 0, loops->size());
  runs_.put(std::move(run));
}

// Whether transfers may use the caller's memory in place of these bytes of DRAM: all that touch them lie inside, and
// are of the one kind.
bool Program::direct(int64_t address, int64_t size, bool stores) const {
  for (const Transfer& transfer : transfers_) {
    if (transfer.end <= address || transfer.begin >= address + size) continue;
    if (transfer.stores != stores || transfer.begin < address || transfer.end > address + size) return false;
  }
  return true;
}

void Program::check(int64_t address, int64_t size) const {
  if (address < int64_t(constants_.size()) || address > dram_bytes_ || size > dram_bytes_ - address) {
    throw std::invalid_argument("a port lies outside the DRAM of the program");
  }
}

}  // namespace furiosa
