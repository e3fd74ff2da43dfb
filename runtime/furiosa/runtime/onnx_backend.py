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

from furiosa.runtime.arguments import TensorArray
from furiosa.runtime.sync import Runner, create_runner

DEVICES = ("CPU", "NPU")
"""What a device may be called; ``CPU`` is the interface's default. Both mean the default NPU and the host beside it."""


class FuriosaRep(BackendRep):
    """A compiled model on opened devices, which it gives back when it is forgotten."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._outputs = namedtupledict("Outputs", [desc.name or "" for desc in runner.model.outputs()])

    def run(self, inputs: TensorArray, **kwargs: Any) -> tuple[Any, ...]:
        """One inference: the outputs in the model's order, by index or by name. Raises as ``Runner.run``."""
        return self._outputs(*self._runner.run(inputs))


class FuriosaBackend(Backend):
    """Compiles ONNX models and runs them on the simulated device."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> FuriosaRep:
        """The compiled model. Raises ValueError for an unknown device, FuriosaRuntimeError as ``create_runner``."""
        if not cls.supports_device(device):
            raise ValueError(f"unknown device `{device}`: the devices are {', '.join(DEVICES)}")
        return FuriosaRep(create_runner(model.SerializeToString()))

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
