"""The compiler option ``without_quantize``: users give uint8 images, and each byte stands for a real number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import onnx

from furiosa.compiler.frontend.node import Affine, OnnxNode
from furiosa.compiler.graph import Op, Quant, TensorType, const
from furiosa.isa.dtypes import DType
from furiosa.isa.errors import OptionError

_KEYS = ("input_min", "input_max", "permute")
_EXAMPLE = '{"parameters": [{"input_min": 0.0, "input_max": 1.0, "permute": [0, 2, 3, 1]}]}'


@dataclass(frozen=True, slots=True)
class Range:
    """The bytes 0 to 255 of an input stand for real numbers from ``least`` to ``most``, evenly."""

    least: float
    most: float


def ranges(given: object, inputs: Mapping[str, TensorType]) -> tuple[dict[str, Range], list[object] | None]:
    """The range of each input, and the option ``permute_input`` that the parameters ask for, None without.

    Raises OptionError unless there are parameters for each input, which takes float32.
    """
    if given is None:
        return {}, None
    parameters = given.get("parameters") if isinstance(given, Mapping) and set(given) == {"parameters"} else None
    if not isinstance(parameters, Sequence) or len(parameters) != len(inputs):
        raise OptionError(f"compiler option `without_quantize` must have `parameters` for {len(inputs)} inputs",
                          hint=f"write it like {_EXAMPLE}, one for each input: {', '.join(inputs)}")  # fmt: skip
    found = {name: _range(name, type_, row) for (name, type_), row in zip(inputs.items(), parameters)}
    if not any("permute" in row for row in parameters):
        return found, None
    ranks = (len(type_.shape) for type_ in inputs.values())
    return found, [row.get("permute", list(range(rank))) for row, rank in zip(parameters, ranks)]


def _range(name: str, type_: TensorType, row: object) -> Range:
    if not isinstance(row, Mapping):
        raise OptionError(f"compiler option `without_quantize` gives {row!r} for input `{name}`",
                          hint=f"write it like {_EXAMPLE}")  # fmt: skip
    for key in row:
        if key not in _KEYS:
            near = get_close_matches(str(key), _KEYS, 1) or _KEYS
            raise OptionError(f"compiler option `without_quantize` has no parameter `{key}`",
                              hint=f"did you mean `{near[0]}`?")  # fmt: skip
    least, most = row.get("input_min"), row.get("input_max")
    if type(least) not in (int, float) or type(most) not in (int, float) or not least < most:  # type: ignore[operator]
        raise OptionError(f"compiler option `without_quantize` gives no range for input `{name}`: {least} to {most}",
                          hint="give numbers, `input_min` below `input_max`")  # fmt: skip
    if type_.dtype is not DType.F32:
        raise OptionError(f"compiler option `without_quantize` is for float32 inputs, `{name}` is "
                          f"{type_.dtype.numpy_name}", hint="leave the option out")  # fmt: skip
    return Range(float(least), float(most))  # type: ignore[arg-type]  # numbers, as checked


def real_numbers(given: Op, range_: Range, opset: int) -> Op:
    """The real numbers that the bytes of an input stand for: least + byte * (most - least) / 255 in float32."""
    type_ = TensorType(given.type.shape, DType.F32)
    scale = float(np.float32((range_.most - range_.least) / 255))
    name = f"{given.name}:real"
    real = Op("dequantize", (given,), Affine(Quant((scale,), (0,))), type_, name, name)
    if not range_.least:
        return real
    name = f"{given.name}:shifted"
    least = const(f"{given.name}:least", np.array(range_.least, np.float32))
    proto = onnx.helper.make_node("Add", [real.name, least.name], [name], name=name)
    return Op("onnx", (real, least), OnnxNode.of(proto, name, opset, 0), type_, name, name, sources=((name, "Add"),))
