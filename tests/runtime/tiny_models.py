"""Hand-made compiled models: a table look-up on the NPU between host steps, only a CPU cluster, or all in turn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from furiosa.isa import enf
from furiosa.isa import instructions as lir
from furiosa.isa.dtypes import DType
from furiosa.isa.encoding import encode
from furiosa.isa.hazards import required_waits

SCALE, ZERO_POINT = 0.5, 3
SHAPE = (1, 2, 4, 8)
LOOKUP = np.random.default_rng(7).permutation(256).astype(np.uint8)


def program(batch: int = 1) -> enf.Program:
    """Y = LOOKUP[x] on bytes (N, H, W, C)."""
    size = batch * 64
    x = lir.View.dense(0, (batch, 4, 8, 2))
    y = lir.View.dense(1024, x.shape)
    table = lir.View.dense(2048, (1, 1, 1, 256))
    bare: list[lir.Instruction] = [
        lir.Load(dst=table, src=0, src_strides=table.strides),
        lir.Load(dst=x, src=256, src_strides=x.strides),
        lir.Table(x=x, y=y, table=table.address, tables=1),
        lir.Store(src=y, dst=256 + size, dst_strides=y.strides),
    ]
    waits = required_waits(bare)
    code = encode([replace(inst, waits=tuple(tokens)) for inst, tokens in zip(bare, waits, strict=True)])
    return enf.Program(
        code=code, constants=LOOKUP.tobytes(), sram_bytes=4096, dram_bytes=256 + 2 * size,
        inputs=(enf.Port("lowered", 256, size),), outputs=(enf.Port("looked_up", 256 + size, size),),
        origins=(enf.Origin(4, "lookup"),),
    )  # fmt: skip


def npu_model(target_name: str = "warboy-2pe", batch: int = 1) -> enf.Enf:
    """float32 (N, 2, 4, 8) -> Quantize, Lower, NPU, Unlower, Dequantize -> float32 of the same shape."""
    n, c, h, w = batch, *SHAPE[1:]
    outside, inside = (n, c, h, w), (n, h, w, c)
    return enf.Enf(
        target=target_name,
        batch_size=batch,
        inputs=("x",),
        outputs=("y",),
        tensors=(
            enf.Tensor("x", outside, DType.F32, "NCHW"),
            enf.Tensor("quantized", outside, DType.U8, "NCHW"),
            enf.Tensor("lowered", inside, DType.U8, "NHWC"),
            enf.Tensor("looked_up", inside, DType.I8, "NHWC"),
            enf.Tensor("unlowered", outside, DType.I8, "NCHW"),
            enf.Tensor("y", outside, DType.F32, "NCHW"),
        ),
        steps=(
            enf.Quantize("x", "quantized", SCALE, ZERO_POINT),
            enf.Lower("quantized", "lowered", outside),
            enf.RunNpu(0, ("lowered",), ("looked_up",)),
            enf.Unlower("looked_up", "unlowered", outside),
            enf.Dequantize("unlowered", "y", SCALE, ZERO_POINT),
        ),
        programs=(program(batch),),
        cpu_models=(),
        report="{}",
        made_by="test",
    )


def npu_reference(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ``npu_model`` computes, written down independently of the runtime."""
    quantized = np.clip(np.rint(x / np.float32(SCALE)) + ZERO_POINT, 0, 255).astype(np.uint8)
    looked_up = LOOKUP[quantized].view(np.int8)
    return ((looked_up.astype(np.int32) - ZERO_POINT).astype(np.float32) * np.float32(SCALE)).astype(np.float32)


def cpu_model() -> enf.Enf:
    """(a + b, a) -> float32 (3,): one CPU cluster with two inputs and two outputs, and no NPU program."""
    from onnx import TensorProto, helper

    tensors = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in ("a", "b", "sum", "same")}
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Identity", ["a"], ["same"])]
    graph = helper.make_graph(nodes, "cpu", [tensors["a"], tensors["b"]], [tensors["sum"], tensors["same"]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return enf.Enf(
        target="warboy-2pe",
        batch_size=1,
        inputs=("a", "b"),
        outputs=("sum", "same"),
        tensors=tuple(enf.Tensor(name, (3,), DType.F32, "?") for name in tensors),
        steps=(enf.RunCpu(0, ("a", "b"), ("sum", "same")),),
        programs=(),
        cpu_models=(model.SerializeToString(),),
        report="{}",
        made_by="test",
    )


def mixed_model() -> enf.Enf:
    """The steps of ``npu_model``, a CPU cluster that adds 1, and the steps once more; every value is an output."""
    from onnx import TensorProto, helper, numpy_helper

    n, c, h, w = SHAPE
    graph = helper.make_graph(
        [helper.make_node("Add", ["y", "one"], ["more"]), helper.make_node("Identity", ["y"], ["same"])],
        "cpu",
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in ("more", "same")],
        [numpy_helper.from_array(np.float32(1), "one")],
    )
    cluster = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    first = npu_model()
    tensors = [replace(tensor, name=f"{tensor.name}2") for tensor in first.tensors if tensor.name != "x"]
    again: list[enf.Step] = [
        enf.Quantize("more", "quantized2", SCALE, ZERO_POINT),
        enf.Lower("quantized2", "lowered2", SHAPE),
        enf.RunNpu(0, ("lowered2",), ("looked_up2",)),
        enf.Unlower("looked_up2", "unlowered2", SHAPE),
        enf.Dequantize("unlowered2", "y2", SCALE, ZERO_POINT),
        enf.Lower("y2", "flat2", (n * c, 1, h, w)),
    ]
    values = (
        *first.tensors, enf.Tensor("more", SHAPE, DType.F32, "NCHW"), enf.Tensor("same", SHAPE, DType.F32, "NCHW"),
        *tensors, enf.Tensor("flat2", (n * c, h, w, 1), DType.F32, "NHWC"),
    )  # fmt: skip
    return replace(
        first,
        tensors=values,
        outputs=tuple(tensor.name for tensor in values),
        steps=(*first.steps, enf.RunCpu(0, ("y",), ("more", "same")), *again),
        cpu_models=(cluster.SerializeToString(),),
    )
