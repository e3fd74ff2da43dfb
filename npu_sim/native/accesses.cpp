// Accesses: see accesses.h.
#include "accesses.h"

#include <type_traits>

namespace furiosa {
namespace {

template <int Rank>
Access access(Access::Kind kind, int32_t& address, const int32_t (&shape)[Rank], const int32_t (&strides)[Rank]) {
  const int64_t size = end_of(shape, strides, 0);
  int64_t elements = 1;
  for (int32_t extent : shape) elements *= extent;
  return {kind, &address, size, elements == size, 0};
}

Access view(Access::Kind kind, View& view) {
  Access all = access(kind, view.address, view.shape, view.strides);
  const int64_t height = view.shape[1], half = view.shape[0] * height / 2;
  all.middle = half / height * view.strides[0] + half % height * view.strides[1];
  return all;
}

Access constant(int32_t& address, int64_t size) { return {Access::kConstant, &address, size, true, 0}; }

template <class Inst, class = void>
constexpr bool has_two_operands = false;
template <class Inst>
constexpr bool has_two_operands<Inst, std::void_t<decltype(&Inst::b)>> = true;

using All = std::vector<Access>;

template <class Inst>
All list(Inst& inst) {
  if constexpr (has_two_operands<Inst>) {
    return {view(Access::kRead, inst.a), view(Access::kRead, inst.b), view(Access::kWrite, inst.y)};
  } else {
    return {view(Access::kRead, inst.x), view(Access::kWrite, inst.y)};
  }
}

template <class Inst>
All list_convolution(Inst& inst) {
  return {view(Access::kRead, inst.x), constant(inst.weights, weight_bytes(inst)),
          constant(inst.bias, int64_t(4) * inst.y.shape[3]), constant(inst.multipliers, multiplier_bytes(inst)),
          view(Access::kWrite, inst.y)};
}

All list(Conv2d& inst) { return list_convolution(inst); }
All list(DepthwiseConv2d& inst) { return list_convolution(inst); }

All list(Load& inst) { return {view(Access::kWrite, inst.dst)}; }
All list(Store& inst) { return {view(Access::kRead, inst.src)}; }
All list(Fill& inst) { return {view(Access::kWrite, inst.y)}; }

All list(Copy& inst) {
  return {access(Access::kRead, inst.src, inst.shape, inst.src_strides),
          access(Access::kWrite, inst.dst, inst.shape, inst.dst_strides)};
}

All list(Table& inst) {
  return {view(Access::kRead, inst.x), constant(inst.table, int64_t(256) * inst.tables), view(Access::kWrite, inst.y)};
}

All list(Sum& inst) {
  return {view(Access::kRead, inst.x), constant(inst.scales, int64_t(4) * inst.count), constant(inst.zeros, inst.count),
          view(Access::kWrite, inst.y)};
}

}  // namespace

int64_t weight_bytes(const Conv2d& inst) {
  return int64_t(inst.y.shape[3]) * inst.kernel[0] * inst.kernel[1] * (inst.x.shape[3] / inst.groups);
}

int64_t weight_bytes(const DepthwiseConv2d& inst) { return int64_t(inst.y.shape[3]) * inst.kernel[0] * inst.kernel[1]; }

int64_t multiplier_bytes(const Conv2d& inst) { return int64_t(inst.rounding ? 12 : 4) * inst.y.shape[3]; }

int64_t multiplier_bytes(const DepthwiseConv2d& inst) { return int64_t(4) * inst.y.shape[3]; }

std::vector<Access> accesses(Instruction& inst) {
  return std::visit([](auto& inst) { return list(inst); }, inst);
}

}  // namespace furiosa
