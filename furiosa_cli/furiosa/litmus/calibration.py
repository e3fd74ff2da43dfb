"""Ranges of a model's tensors from random data: enough to see whether it can be quantized, not to be accurate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from furiosa.isa.errors import ModelError, UnsupportedError

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

_SEED = 0  # the same model gets the same verdict every time


class DynamicShapeError(ModelError, RuntimeError):
    """An input has a dimension without a size."""


class ElementTypeError(UnsupportedError, NotImplementedError):
    """There are no random data for the element type of an input."""


def calibrate_with_random_data(model: ModelProto | bytes, dataset_size: int = 8) -> dict[str, tuple[float, float]]:
    """The range (min, max) of each tensor over ``dataset_size`` random samples; the same in every call.

    Inputs of floats are standard normal, those of integers uniform over the whole range of the type. Raises
    RuntimeError for an input with a dimension that is not static, and NotImplementedError for other element types.
    """
    import numpy as np
    import onnx

    from furiosa.quantizer import CalibrationMethod, Calibrator, get_pure_input_names

    if not isinstance(model, onnx.ModelProto):
        model = onnx.load_model_from_string(bytes(model))
    pure = set(get_pure_input_names(model))
    inputs = [_input(value) for value in model.graph.input if value.name in pure]
    generator = np.random.default_rng(_SEED)

    def samples() -> Iterator[list[Any]]:
        for _ in range(dataset_size):
            yield [_random(shape, dtype, generator) for shape, dtype in inputs]

    calibrator = Calibrator(model, CalibrationMethod.MIN_MAX_ASYM)
    calibrator.collect_data(samples())
    return calibrator.compute_range()


def _input(value: ValueInfoProto) -> tuple[list[int], Any]:
    """The shape and the element type of an input, if there are random data for it."""
    import numpy as np
    from onnx import TensorProto, helper

    kind = value.type.tensor_type
    for axis, size in enumerate(kind.shape.dim):
        if not size.HasField("dim_value"):
            symbol = size.dim_param or "?"
            raise DynamicShapeError(
                f"the static shape of input `{value.name}` must be given: dimension {axis} is `{symbol}`",
                hint="export the model with fixed input sizes",
            )
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type) if kind.elem_type else np.dtype(object)
    if dtype.kind not in "fiu":
        raise ElementTypeError(
            f"there are no random data of type {TensorProto.DataType.Name(kind.elem_type)} for input `{value.name}`",
            hint="use `furiosa quantize` with data of your own, then `furiosa-litmus --skip-quantization`",
        )
    return [size.dim_value for size in kind.shape.dim], dtype


def _random(shape: list[int], dtype: Any, generator: Any) -> Any:
    import numpy as np

    if dtype.kind == "f":
        return generator.standard_normal(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)
