"""The backend interface of the onnx package (``onnx.backend.base``): ``prepare(model).run(inputs)``.

``import furiosa.runtime.onnx_backend as backend`` gives programs that are written for that interface the compiler and
the simulated device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep, namedtupledict

from furiosa.runtime.sync import Runner, create_runner

DEVICES = ("CPU", "NPU")
"""What a device may be called; ``CPU`` is the interface's default. Both mean the default NPU and the host beside it."""


class FuriosaRep(BackendRep):
    """A compiled model on opened devices, which it gives back when it is forgotten.

    Programs are made for one shape: a model that leaves shapes of its inputs open is compiled for those of the first
    run, and anew when others come.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._outputs = namedtupledict("Outputs", [value.name for value in model.graph.output])
        self._open = any(_open(value) for value in model.graph.input)
        self._shapes: list[tuple[int, ...]] = []
        self._runner: Runner | None = None if self._open else create_runner(model.SerializeToString())

    def run(self, inputs: Sequence[Any], **kwargs: Any) -> tuple[Any, ...]:
        """One inference: the outputs in the model's order, by index or by name. Raises as ``Runner.run``."""
        return self._outputs(*self._made_for(inputs).run(inputs))

    def _made_for(self, inputs: Sequence[Any]) -> Runner:
        shapes = [np.shape(value) if isinstance(value, np.ndarray) else () for value in inputs] if self._open else []
        if self._runner is not None and shapes == self._shapes:
            return self._runner
        if self._runner is not None:
            self._runner.close()
        self._runner, self._shapes = create_runner(_closed(self._model, shapes).SerializeToString()), shapes
        return self._runner


def _open(value: onnx.ValueInfoProto) -> bool:
    """Whether an input is a tensor with an extent that the model does not tell."""
    return value.type.HasField("tensor_type") and any(
        not dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim
    )


def _closed(model: onnx.ModelProto, shapes: Sequence[tuple[int, ...]]) -> onnx.ModelProto:
    """The model with these shapes of its inputs where they are open, in the order of those that are no weights."""
    closed = onnx.ModelProto()
    closed.CopyFrom(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    for value, shape in zip((value for value in closed.graph.input if value.name not in weights), shapes):
        dims = value.type.tensor_type.shape.dim
        for dim, extent in zip(dims, shape) if len(dims) == len(shape) and _open(value) else ():
            dim.dim_value = extent
    return closed


class FuriosaBackend(Backend):
    """Compiles ONNX models and runs them on the simulated device."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> FuriosaRep:
        """The compiled model. Raises ValueError for an unknown device, FuriosaRuntimeError as ``create_runner``."""
        if not cls.supports_device(device):
            raise ValueError(f"unknown device `{device}`: the devices are {', '.join(DEVICES)}")
        return FuriosaRep(model)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Sequence[Any],
        device: str = "CPU",
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """One inference of one node on arrays, of the newest opset unless ``opset_version`` is given."""
        newest = onnx.defs.onnx_opset_version()
        schema = onnx.defs.get_schema(node.op_type, kwargs.get("opset_version", newest), node.domain)
        arrays = [np.asarray(value) for value in inputs]
        given = [name for name in node.input if name]
        tensors = {name: onnx.numpy_helper.from_array(array, name) for name, array in zip(given, arrays)}
        types = {name: onnx.helper.make_tensor_type_proto(t.data_type, t.dims) for name, t in tensors.items()}
        results = onnx.shape_inference.infer_node_outputs(schema, node, types, tensors)
        graph = onnx.helper.make_graph(
            [node], node.op_type, [onnx.helper.make_value_info(name, type_) for name, type_ in types.items()],
            [onnx.helper.make_value_info(name, results[name]) for name in node.output if name],
        )  # fmt: skip
        opset = onnx.helper.make_opsetid(node.domain, schema.since_version)
        return cls.prepare(onnx.helper.make_model(graph, opset_imports=[opset]), device).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether ``prepare`` takes this device."""
        return device in DEVICES


prepare = FuriosaBackend.prepare
run_model = FuriosaBackend.run_model
run_node = FuriosaBackend.run_node
supports_device = FuriosaBackend.supports_device
