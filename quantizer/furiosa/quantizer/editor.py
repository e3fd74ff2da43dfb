"""Integers at the border of a model: ModelEditor notes in the float model which tensors ``quantize`` shall make so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from math import isfinite

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto

from furiosa.isa.errors import OptionError, did_you_mean
from furiosa.quantizer.names import get_output_names, get_pure_input_names

_PREFIX = "furiosa.quantizer."


class TensorType(IntEnum):
    """Element types that inputs and outputs of a quantized model can have instead of float32."""

    UINT8 = 1
    INT8 = 2


class EditorError(OptionError, ValueError):
    """A tensor cannot be converted: it does not exist, is no float32 border, or the type or range is none."""


class ModelEditor:
    """Edits a float model in place: the quantized model made of it has integers at its border.

    The integer is the quantized value of the tensor under its range: uint8 u stands for min + u * (max - min) / 255,
    and the int8 value is 128 less. For a model whose input range is 0 to 255, pixels pass unchanged. What is noted lies
    in ``metadata_props``: the model stays the float model it is, and can be calibrated before or after.
    """

    def __init__(self, model: ModelProto) -> None:
        if not isinstance(model, ModelProto):
            raise EditorError(f"a ModelEditor edits an `onnx.ModelProto`, not `{type(model).__name__}`",
                              hint="read the file with `onnx.load(path)` first")  # fmt: skip
        self._model = model

    def convert_input_type(self, tensor_name: str, tensor_type: TensorType) -> None:
        """Let the input be uint8 or int8. Raises ValueError for an unknown name, an initializer, or another type."""
        names = get_pure_input_names(self._model)
        self._check(tensor_name, tensor_type, names, list(self._model.graph.input), "input")
        self._note("input", tensor_name, {"type": TensorType(tensor_type).name})

    def convert_output_type(
        self, tensor_name: str, tensor_type: TensorType, tensor_range: tuple[float, float] | None = None
    ) -> None:
        """Let the output be uint8 or int8, over ``tensor_range`` or else over the calibrated range.

        Raises ValueError for an unknown name, another type, or a range that is none.
        """
        names = get_output_names(self._model)
        self._check(tensor_name, tensor_type, names, list(self._model.graph.output), "output")
        note: dict[str, object] = {"type": TensorType(tensor_type).name}
        if tensor_range is not None:
            note["range"] = _checked_range(tensor_name, tensor_range)
        self._note("output", tensor_name, note)

    def _check(
        self, name: str, kind: TensorType, names: Sequence[str], values: Sequence[ValueInfoProto], border: str
    ) -> None:
        if kind not in tuple(TensorType):
            raise EditorError(f"`{kind}` is no tensor type", where=f"{border} `{name}`",
                              hint="use `TensorType.UINT8` or `TensorType.INT8`")  # fmt: skip
        if name in get_pure_input_names(self._model) and name in get_output_names(self._model):
            raise EditorError(f"`{name}` is an input and an output at once: no operator makes it",
                              hint=f"leave the {border} as it is")  # fmt: skip
        if name not in names:
            raise EditorError(f"`{name}` is no {border} of the model",
                              hint=did_you_mean(name, names)
                              or f"its {border}s are {', '.join(f'`{each}`' for each in names)}")  # fmt: skip
        element = next(value for value in values if value.name == name).type.tensor_type.elem_type
        if element != TensorProto.FLOAT:
            found = onnx.TensorProto.DataType.Name(element).lower()
            raise EditorError(f"{border} `{name}` is {found}, only float32 can be quantized",
                              hint=f"leave the {border} as it is")  # fmt: skip

    def _note(self, border: str, name: str, note: dict[str, object]) -> None:
        key, props = f"{_PREFIX}{border}_type.{name}", self._model.metadata_props
        kept = [(item.key, item.value) for item in props if item.key != key]
        onnx.helper.set_model_props(self._model, dict([*kept, (key, json.dumps(note))]))


def _checked_range(name: str, given: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not (isfinite(low) and isfinite(high) and low <= high):
        raise EditorError(f"the range of output `{name}` is {given!r}, not two finite numbers in order",
                          hint="a range is (min, max)")  # fmt: skip
    return low, high


@dataclass
class Border:
    """The integer types of inputs and outputs by name, and the ranges that are given for outputs."""

    inputs: dict[str, TensorType] = field(default_factory=dict)
    outputs: dict[str, TensorType] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    def check(self, model: ModelProto) -> None:
        """Raises EditorError for a name that the model does not have any more."""
        for border, wished, names in (
            ("input", self.inputs, get_pure_input_names(model)), ("output", self.outputs, get_output_names(model)),
        ):  # fmt: skip
            lost = next((name for name in wished if name not in names), None)
            if lost is not None:
                raise EditorError(f"`{lost}`, which a ModelEditor converted, is no {border} of the model any more",
                                  hint="edit the model after it is optimized")  # fmt: skip

    def over(self, weaker: Border) -> Border:
        """These wishes, and for other tensors the ``weaker`` ones."""
        ranges = {name: given for name, given in weaker.ranges.items() if name not in self.outputs}
        return Border(weaker.inputs | self.inputs, weaker.outputs | self.outputs, ranges | self.ranges)


def take_border(model: ModelProto) -> Border:
    """What a ModelEditor noted in the model; the notes are removed from it."""
    border, kept = Border(), {}
    for item in model.metadata_props:
        if not item.key.startswith(_PREFIX):
            kept[item.key] = item.value
            continue
        kind, _, name = item.key[len(_PREFIX) :].partition("_type.")
        try:
            note = json.loads(item.value)
            (border.inputs if kind == "input" else border.outputs)[name] = TensorType[note["type"]]
            if "range" in note:
                border.ranges[name] = _checked_range(name, note["range"])
        except (KeyError, TypeError, json.JSONDecodeError):
            raise EditorError(f"the property `{item.key}` of the model is no note of a ModelEditor",
                              hint="remove it from `metadata_props`, and edit the model again") from None  # fmt: skip
    onnx.helper.set_model_props(model, kept)
    return border
