"""Scale and zero point of every quantized tensor, and which tensors have them in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, prod

import numpy as np
from onnx import NodeProto

from furiosa.isa.errors import OptionError
from furiosa.quantizer.graph import FloatGraph
from furiosa.quantizer.placement import Placement, Range, clip_bounds
from furiosa.quantizer.schemes import Kind

Ranges = Mapping[str, Sequence[float]]
_LEAST_SCALE = 2.0**-64
_MOST = 1e36
_CALIBRATE = "ranges come from `Calibrator(model, method).compute_range()`, of the same model"


@dataclass(frozen=True, slots=True)
class Encoding:
    """real = scale * (q - zero_point) for uint8 q; int8 is the same with 128 less."""

    scale: np.float32
    zero_point: int


def encode(low: float, high: float, snug: bool = False) -> Encoding:
    """The encoding of a range, which is first extended to 0.

    A range around 0 gets the zero point of int8 0, and -128 stays unused; the others use all 256 codes. A range too
    small for float32 arithmetic counts as [0, 1]. ``snug``: no code may stand for a value above ``high``, not even by a
    rounding of the scale.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    symmetric = low == -high
    scale = np.float32((high - low) / (254 if symmetric else 255))
    if scale < _LEAST_SCALE:
        return Encoding(np.float32(1 / 255), 0)
    if snug and np.float32(255) * scale > np.float32(high):
        scale = np.nextafter(scale, np.float32(0))
    zero_point = 128 if symmetric else int(np.rint(-low / float(scale)))
    return Encoding(scale, min(max(zero_point, 0), 255))


def check_ranges(graph: FloatGraph, ranges: object) -> dict[str, Range]:
    """The ranges of the model's tensors as pairs of numbers.

    Raises OptionError for what is no dictionary of ranges, for one of another model, and for a range that is none.
    """
    if not isinstance(ranges, Mapping):
        raise OptionError(f"ranges are a dictionary of tensor names, not `{type(ranges).__name__}`", hint=_CALIBRATE)
    tensors = {*graph.inputs, *graph.producers}
    found = {name: _pair(name, ranges[name]) for name in ranges if name in tensors}
    if ranges and not found:
        raise OptionError(f"none of the {len(ranges)} ranges is of a tensor of this model, e.g. `{next(iter(ranges))}`",
                          hint=_CALIBRATE)  # fmt: skip
    return found


def _pair(name: str, given: Sequence[float]) -> Range:
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError):
        raise OptionError(f"the range of tensor `{name}` is {given!r}, not a pair of numbers",
                          hint="a range is (min, max)") from None  # fmt: skip
    if isnan(low) or isnan(high):
        raise _unusable(name, (low, high), "is not a number")
    if low > high:
        raise _unusable(name, (low, high), "has its minimum above its maximum")
    return low, high


def _unusable(name: str, found: Range, fault: str) -> OptionError:
    return OptionError(f"the range of tensor `{name}`, ({found[0]}, {found[1]}), {fault}",
                       hint="calibrate with finite data, or exclude the operators at this tensor")  # fmt: skip


class Encodings:
    """The encodings of a placed model; asked for by tensor.

    ``fixed``: ranges that hold whatever was calibrated, and for these tensors alone.
    """

    def __init__(self, placement: Placement, ranges: Mapping[str, Range], fixed: Mapping[str, Range]) -> None:
        self._placement, self._graph, self._ranges, self._fixed = placement, placement.graph, ranges, fixed
        self._root: dict[str, str] = {}
        self._snug: set[str] = set()
        self._made: dict[str, Encoding] = {}
        placed = [node for node in self._graph.nodes if node.name in placement.schemes]
        for node in placed:
            if self._kind(node) is Kind.MOVE:
                self._root.update((name, node.input[0]) for name in placement.results(node) if name not in fixed)
        for name in fixed:
            producer = self._graph.producers.get(name)
            if producer is not None and self._kind(producer) is Kind.MOVE:
                self._adopt(producer.input[0], name)
        for node in reversed(placed):
            if self._kind(node) is Kind.JOIN:
                for name in node.input:
                    self._adopt(name, node.output[0])

    def __getitem__(self, name: str) -> Encoding:
        """The encoding of a tensor. Raises OptionError when there is no range for it."""
        root = self.root(name)
        if root not in self._made:
            snug = root in self._snug or self._bounds(root) is not None or self._given(root) is not None
            self._made[root] = encode(*self._wide_enough(root), snug)
        return self._made[root]

    def _wide_enough(self, root: str) -> Range:
        """The range; that of a mean is at least one step of its sum wide.

        All results within such a step are one code anyway, and ONNX Runtime refuses a ratio of scales beyond 256.
        """
        low, high = self.range(root)
        node = self._graph.producers.get(root)
        if node is None or node.op_type != "GlobalAveragePool" or self._kind(node) is None:
            return low, high
        count = prod((self._graph.shape(node.input[0]) or ())[2:])
        width = max(high, 0.0) - min(low, 0.0)
        step = float(self[node.input[0]].scale) / count if count > 0 else 0.0
        factor = step / width if 0 < width < step else 1.0
        return low * factor, high * factor

    def range(self, name: str) -> Range:
        """The range that a tensor is encoded with: that of the tensor whose scale it has, within what a Relu or Clip
        lets through.
        """
        root = self.root(name)
        given = self._fixed.get(root) or self._given(root)
        if given is not None:
            return given
        found = self._ranges.get(root)
        if found is None:
            found = next((self._ranges[n] for n in self._root if n in self._ranges and self.root(n) == root), None)
        if found is None:
            raise OptionError(f"there is no range for tensor `{root}`", hint=_CALIBRATE)
        if max(-found[0], found[1]) > _MOST:
            raise _unusable(root, found, f"is beyond {_MOST}")
        bounds = self._bounds(root)
        return found if bounds is None else (max(found[0], bounds[0]), max(min(found[1], bounds[1]), bounds[0]))

    def root(self, name: str) -> str:
        """The tensor whose scale a tensor has."""
        while name in self._root:
            name = self._root[name]
        return name

    def _bounds(self, name: str) -> Range | None:
        """What the clamp that makes a tensor lets through."""
        producer = self._graph.producers.get(name)
        return None if producer is None else clip_bounds(self._graph, producer)

    def _given(self, name: str) -> Range | None:
        """The range that the operator which makes a tensor always has."""
        producer = self._graph.producers.get(name)
        scheme = None if producer is None else self._placement.schemes.get(producer.name)
        return None if scheme is None else scheme.result

    def _kind(self, node: NodeProto) -> Kind | None:
        scheme = self._placement.schemes.get(node.name)
        return None if scheme is None else scheme.kind

    def _adopt(self, name: str, root: str) -> None:
        """Give a tensor that only one operator reads the scale of that operator's result, if nothing is lost by it.

        The range must imply the Relu or Clip that makes the tensor: then rounding does the clamping.
        """
        producer = self._graph.producers.get(name)
        alone = self._graph.only_reader(name) is not None and self._given(name) is None
        if producer is None or self._kind(producer) is None or not alone:
            return
        if self._kind(producer) is Kind.MOVE:
            if len(producer.output) == 1:
                self._adopt(producer.input[0], root)
            return
        bounds, (low, high) = self._bounds(name), self.range(root)
        if bounds is not None and not (bounds[0] <= min(low, 0.0) and max(high, 0.0) <= bounds[1]):
            return
        if bounds is not None:
            self._snug.add(self.root(root))
        self._root[name] = root
