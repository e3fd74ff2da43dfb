"""The compiler option ``permute_input``: users give an input with its axes in another order than the model takes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from furiosa.compiler.frontend.node import OnnxNode, Permuted
from furiosa.compiler.graph import Op, TensorType
from furiosa.isa.errors import OptionError

Axes = tuple[int, ...]


def permutations(given: Sequence[object] | None, inputs: dict[str, int]) -> dict[str, Axes]:
    """The axes of each input in the order of the array that users give; empty without the option.

    ``inputs`` are the ranks of the model's inputs by name. Raises OptionError unless there is a permutation for each.
    """
    if given is None:
        return {}
    known = ", ".join(f"`{name}` ({rank} axes)" for name, rank in inputs.items())
    if len(given) != len(inputs):
        raise OptionError(f"compiler option `permute_input` has {len(given)} lists of axes, the model {len(inputs)} "
                          "inputs", hint=f"give one list for each input, in order: {known}")  # fmt: skip
    for axes, (name, rank) in zip(given, inputs.items()):
        numbers = isinstance(axes, list | tuple) and all(type(axis) is int for axis in axes)
        if not numbers or sorted(axes) != list(range(rank)):  # type: ignore[call-overload]  # a list or tuple of int
            raise OptionError(f"compiler option `permute_input` gives {axes!r} for input `{name}`, which is no "
                              f"permutation of {list(range(rank))}",
                              hint="name every axis once; [0, 2, 3, 1] makes an NCHW input take NHWC")  # fmt: skip
    return {name: tuple(axes) for name, axes in zip(inputs, given)}  # type: ignore[arg-type]  # as above


def given_input(name: str, type_: TensorType, axes: Axes) -> Op:
    """The input as users give it: its axis i is axis ``axes[i]`` of the model's, as ``torch.permute`` has it."""
    shape = tuple(type_.shape[axis] for axis in axes)
    return Op("input", (), Permuted(axes), TensorType(shape, type_.dtype), name)


def in_order(given: Op, name: str, type_: TensorType, axes: Axes, opset: int) -> Op:
    """The model's tensor of type ``type_`` made of ``given``, whose axis i is axis ``axes[i]`` of it."""
    import onnx

    inner = f"{name}:permuted"
    proto = onnx.helper.make_node("Transpose", [given.name], [inner], name=inner, perm=np.argsort(axes).tolist())
    return Op("onnx", (given,), OnnxNode.of(proto, inner, opset, 0), type_, inner, inner)
