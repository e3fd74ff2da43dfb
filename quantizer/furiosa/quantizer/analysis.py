"""Where accuracy is lost: each quantized tensor against its float values, over all operators before it and alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from furiosa.compiler.frontend.session import plain_session
from furiosa.isa.errors import ModelError, OptionError, UnsupportedError
from furiosa.quantizer.floatmodel import load_float_model, load_model
from furiosa.quantizer.names import get_output_names, get_pure_input_names, name_nodes
from furiosa.quantizer.samples import Array, Feed, Input, checked

if TYPE_CHECKING:
    import pandas

Counts = NDArray[np.int64]
_CODES = 256


@dataclass(frozen=True, slots=True)
class TensorLoss:
    """What quantization does to one tensor.

    ``sqnr_db``: power of the float values over the power of the error, in decibels, with the errors of all operators
    before it; infinite where nothing is lost. ``cosine``: cosine similarity of float and quantized values. ``alone_``:
    the same when the operator gets the float values, rounded to its operands' codes: its own part of the loss.
    ``clipped``: share of the float values outside of the range. ``unused_codes``: share of the 256 codes that occur
    never. ``node`` and ``operator`` are empty for an input of the model.
    """

    tensor: str
    node: str
    operator: str
    sqnr_db: float
    cosine: float
    alone_sqnr_db: float
    alone_cosine: float
    clipped: float
    unused_codes: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """The losses of all quantized tensors, in the order of the graph, over ``samples`` samples.

    ``codes`` has for each tensor how often each of its codes 0 to 255 occurs.
    """

    samples: int
    losses: tuple[TensorLoss, ...]
    codes: dict[str, Counts] = field(repr=False)

    def worst(self, count: int) -> list[TensorLoss]:
        """The tensors whose own operator loses most, worst first."""
        return sorted(self.losses, key=lambda loss: loss.alone_sqnr_db)[:count]

    def to_dataframe(self) -> pandas.DataFrame:
        """One row a tensor, with the columns of `TensorLoss`. Raises UnsupportedError when pandas is not installed."""
        try:
            import pandas
        except ImportError:
            raise UnsupportedError("a DataFrame needs pandas", hint="`pip install pandas`") from None
        return pandas.DataFrame([asdict(loss) for loss in self.losses])


@dataclass(slots=True)
class Sums:
    """Sums over all values of a tensor, of which ratios are made in the end."""

    signal: float = 0.0
    noise: float = 0.0
    product: float = 0.0
    power: float = 0.0

    def add(self, real: Array, near: Array) -> None:
        a, b = real.astype(np.float64).reshape(-1), near.astype(np.float64).reshape(-1)
        difference = a - b
        self.signal += float(a @ a)
        self.noise += float(difference @ difference)
        self.product += float(a @ b)
        self.power += float(b @ b)

    @property
    def sqnr_db(self) -> float:
        if self.noise == 0:
            return float("inf")
        return 10 * float(np.log10(self.signal / self.noise)) if self.signal else float("-inf")

    @property
    def cosine(self) -> float:
        scale = np.sqrt(self.signal) * np.sqrt(self.power)
        return float(self.product / scale) if scale else float(self.signal == self.power)


@dataclass(slots=True)
class _Tensor:
    """A quantized tensor: its name in the float model, its codes' name, and how codes stand for values."""

    name: str
    codes: str
    scale: float
    zero: int
    low_code: int
    node: str = ""
    operator: str = ""
    chain: Sums = field(default_factory=Sums)
    alone: Sums = field(default_factory=Sums)
    outside: int = 0
    values: int = 0
    histogram: Counts = field(default_factory=lambda: np.zeros(_CODES, np.int64))

    def real(self, codes: Array) -> Array:
        return (codes.astype(np.float32) - self.zero) * np.float32(self.scale)

    @property
    def bounds(self) -> tuple[float, float]:
        return tuple((code - self.zero) * self.scale for code in (self.low_code, self.low_code + 255))  # type: ignore[return-value]  # two

    def take(self, real: Array, codes: Array, alone: Array) -> None:
        low, high = self.bounds
        margin = self.scale / 2
        self.chain.add(real, self.real(codes))
        self.alone.add(real, self.real(alone))
        self.outside += int(np.count_nonzero((real < low - margin) | (real > high + margin)))
        self.values += real.size
        shifted = codes.reshape(-1).astype(np.int64) - self.low_code
        self.histogram += np.bincount(shifted, minlength=_CODES)

    def loss(self) -> TensorLoss:
        low, high = self.bounds
        unused = float(np.mean(self.histogram == 0))
        return TensorLoss(self.name, self.node, self.operator, self.chain.sqnr_db, self.chain.cosine,
                          self.alone.sqnr_db, self.alone.cosine, self.outside / max(self.values, 1), unused, low,
                          high)  # fmt: skip


def analyze(model: ModelProto | bytes, quantized: ModelProto | bytes, dataset: Iterable[Sequence[Array]]) -> Analysis:
    """Compare a float model with the model that `quantize` made of it, on samples as `Calibrator` takes them.

    Memory does not grow with the number of samples. Raises OptionError for samples that do not fit or when there are
    none, ModelError for models that do not belong together or that ONNX Runtime cannot run.
    """
    original = load_float_model(model)
    name_nodes(original.graph)
    made = load_model(quantized, "the quantized model")[0]
    inputs = [Input.of(v) for v in original.graph.input if v.name in get_pure_input_names(original)]
    tensors = _tensors(original, made)
    if get_output_names(original) != get_output_names(made):
        raise ModelError("the second model is not the first one in int8",
                         hint="compare a float model with what `quantize` made of it")  # fmt: skip
    if not tensors:
        raise ModelError("nothing in the second model is quantized", hint="leave fewer operators in float32")
    runs = _Runs(original, made, tensors)
    samples = 0
    for feed in checked(dataset, inputs):
        samples += 1
        for tensor, values in zip(tensors, runs.values(feed)):
            tensor.take(*values)
    return Analysis(samples, tuple(t.loss() for t in tensors), {t.name: t.histogram for t in tensors})


def _tensors(original: ModelProto, quantized: ModelProto) -> list[_Tensor]:
    """The activations that the quantized model has as codes and the float model as values."""
    makers = {name: node for node in original.graph.node for name in node.output if name}
    floats = {value.name for value in original.graph.input} | set(makers)
    constants = {tensor.name: tensor for tensor in quantized.graph.initializer}
    real = {node.input[0]: node.output[0] for node in quantized.graph.node if node.op_type == "DequantizeLinear"}
    found: dict[str, _Tensor] = {}
    for node in quantized.graph.node:
        if node.op_type != "QuantizeLinear" or any(name not in constants for name in node.input[1:]):
            continue
        raw, codes = node.input[0], node.output[0]
        aliases = (real.get(codes, codes), codes, codes.removesuffix("_quantized"), raw, raw.removesuffix("_float"))
        name = next((alias for alias in aliases if alias in floats), None)
        if name is None or name in found:
            continue
        scale, zero = (numpy_helper.to_array(constants[given]) for given in node.input[1:3])
        low = int(np.iinfo(zero.dtype).min)
        maker = makers.get(name)
        found[name] = _Tensor(name, codes, float(scale), int(zero), low, maker.name if maker else "",
                              maker.op_type if maker else "")  # fmt: skip
    return list(found.values())


class _Runs:
    """The float model, the quantized one, and the quantized one with every operator fed from the float values."""

    def __init__(self, original: ModelProto, quantized: ModelProto, tensors: list[_Tensor]) -> None:
        self._tensors = tensors
        self._names = [tensor.name for tensor in tensors]
        self._codes = [tensor.codes for tensor in tensors]
        self._given = {value.name: value.type.tensor_type.elem_type for value in quantized.graph.input}
        self._float = _session(original, self._names)
        self._quantized = _session(quantized, self._codes)
        self._apart = _session(_apart(quantized, tensors), self._codes)

    def values(self, feed: Feed) -> Iterator[tuple[Array, Array, Array]]:
        """For each tensor its float values, its codes, and the codes that its operator gives alone."""
        reals = _run(self._float, self._names, feed)
        given = {name: self._converted(name, value) for name, value in feed.items()}
        codes = _run(self._quantized, self._codes, given)
        references = {_reference(name): real for name, real in zip(self._names, reals)}
        yield from zip(reals, codes, _run(self._apart, self._codes, {**given, **references}))

    def _converted(self, name: str, value: Array) -> Array:
        """An input as the quantized model takes it: floats, or codes where a ModelEditor made it an integer."""
        dtype = helper.tensor_dtype_to_np_dtype(self._given[name])
        if value.dtype == dtype:
            return value
        raise OptionError(f"input `{name}` of the quantized model takes {dtype}, the samples are {value.dtype}",
                          hint="analyze the model without converted inputs")  # fmt: skip


def _reference(name: str) -> str:
    return f"{name}:reference"


def _apart(quantized: ModelProto, tensors: list[_Tensor]) -> ModelProto:
    """The quantized model whose operators read codes of float values that are fed, not those of other operators."""
    model = ModelProto()
    model.CopyFrom(quantized)
    quantizers = {node.output[0]: node for node in model.graph.node if node.op_type == "QuantizeLinear"}
    fed = {tensor.codes: f"{tensor.name}:codes" for tensor in tensors}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in fed:
            node.input[0] = fed[node.input[0]]
    added = []
    for tensor in tensors:
        parameters = quantizers[tensor.codes].input[1:]
        added.append(helper.make_node("QuantizeLinear", [_reference(tensor.name), *parameters], [fed[tensor.codes]]))
        model.graph.input.append(helper.make_tensor_value_info(_reference(tensor.name), 1, None))
    nodes = [*added, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _session(model: ModelProto, outputs: list[str]) -> Any:
    """A session that shows these tensors."""
    shown = ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    del shown.graph.value_info[:]
    given = {value.name for value in shown.graph.input}
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs if name not in given)
    return plain_session(shown.SerializeToString())


def _run(session: Any, names: list[str], feed: Feed) -> list[Array]:
    fetched = [name for name in names if name not in feed]
    needed = {value.name for value in session.get_inputs()}
    results = dict(zip(fetched, session.run(fetched, {k: v for k, v in feed.items() if k in needed})))
    return [results[name] if name in results else feed[name] for name in names]
