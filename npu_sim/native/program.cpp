// Programs: see program.h.
#include "program.h"

#include <cstring>
#include <stdexcept>

namespace furiosa {
namespace {

struct Header {
  int32_t opcode, words, waits;
};

// The step of the instruction of type Inst whose body starts at `body`.
template <class Inst>
Step read(const char* body, int32_t words, Setup& setup) {
  if (words != int32_t(sizeof(Inst) / 4)) throw std::invalid_argument("an instruction has a body of the wrong size");
  Inst inst;
  std::memcpy(&inst, body, sizeof(Inst));
  return prepare(inst, setup);
}

Step read_any(const Header& head, const char* body, Setup& setup) {
  switch (head.opcode) {
    case Load::opcode: return read<Load>(body, head.words, setup);
    case Store::opcode: return read<Store>(body, head.words, setup);
    case Conv2d::opcode: return read<Conv2d>(body, head.words, setup);
    case DepthwiseConv2d::opcode: return read<DepthwiseConv2d>(body, head.words, setup);
    case MatMul::opcode: return read<MatMul>(body, head.words, setup);
    case MaxPool2d::opcode: return read<MaxPool2d>(body, head.words, setup);
    case AveragePool2d::opcode: return read<AveragePool2d>(body, head.words, setup);
    case GlobalAveragePool::opcode: return read<GlobalAveragePool>(body, head.words, setup);
    case AddAveragePool2d::opcode: return read<AddAveragePool2d>(body, head.words, setup);
    case Interpolate::opcode: return read<Interpolate>(body, head.words, setup);
    case Add::opcode: return read<Add>(body, head.words, setup);
    case Sub::opcode: return read<Sub>(body, head.words, setup);
    case Mul::opcode: return read<Mul>(body, head.words, setup);
    case Sum::opcode: return read<Sum>(body, head.words, setup);
    case Table::opcode: return read<Table>(body, head.words, setup);
    case Softmax::opcode: return read<Softmax>(body, head.words, setup);
    case ReduceL2::opcode: return read<ReduceL2>(body, head.words, setup);
    case L2Normalize::opcode: return read<L2Normalize>(body, head.words, setup);
    case Copy::opcode: return read<Copy>(body, head.words, setup);
    case Fill::opcode: return read<Fill>(body, head.words, setup);
    default: throw std::invalid_argument("an opcode is unknown");
  }
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
  Constants constants(reinterpret_cast<const uint8_t*>(constants_.data()), int64_t(constants_.size()));
  Setup setup{kernels, constants, slab_, transfers_};
  std::vector<Step> steps;
  for (size_t at = 0; at < code.size();) {
    Header head;
    if (code.size() - at < sizeof(head)) throw std::invalid_argument("the code ends inside an instruction");
    std::memcpy(&head, code.data() + at, sizeof(head));
    at += sizeof(head);
    if (head.words < 0 || head.waits < 0) throw std::invalid_argument("an instruction has a negative size");
    const size_t size = 4 * (size_t(head.words) + size_t(head.waits));
    if (code.size() - at < size) throw std::invalid_argument("the code ends inside an instruction");
    steps.push_back(read_any(head, code.data() + at, setup));
    if (head.opcode == Load::opcode) {
      Load inst;
      std::memcpy(&inst, code.data() + at, sizeof(inst));
      constants.load(inst, steps.size() - 1);
    }
    at += size;
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
