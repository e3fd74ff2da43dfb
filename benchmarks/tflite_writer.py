"""TFLite models, written with the schema's own classes: no TensorFlow is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    "float32": schema.TensorType.FLOAT32, "float16": schema.TensorType.FLOAT16, "int32": schema.TensorType.INT32,
    "uint8": schema.TensorType.UINT8, "int64": schema.TensorType.INT64, "bool": schema.TensorType.BOOL,
    "int16": schema.TensorType.INT16, "int8": schema.TensorType.INT8,
}  # fmt: skip
_OPTIONS = {
    "ADD": "AddOptions", "ARG_MAX": "ArgMaxOptions", "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions", "BATCH_TO_SPACE_ND": "BatchToSpaceNDOptions", "CAST": "CastOptions",
    "CONCATENATION": "ConcatenationOptions", "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions", "DEQUANTIZE": "DequantizeOptions", "DIV": "DivOptions",
    "EXPAND_DIMS": "ExpandDimsOptions", "FULLY_CONNECTED": "FullyConnectedOptions", "GATHER": "GatherOptions",
    "GELU": "GeluOptions", "HARD_SWISH": "HardSwishOptions", "L2_POOL_2D": "Pool2DOptions",
    "LEAKY_RELU": "LeakyReluOptions", "MAX_POOL_2D": "Pool2DOptions", "MEAN": "ReducerOptions",
    "MIRROR_PAD": "MirrorPadOptions", "MUL": "MulOptions", "PACK": "PackOptions", "PAD": "PadOptions",
    "PADV2": "PadV2Options", "QUANTIZE": "QuantizeOptions", "REDUCE_MAX": "ReducerOptions", "RESHAPE": "ReshapeOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions", "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "REVERSE_SEQUENCE": "ReverseSequenceOptions", "SHAPE": "ShapeOptions", "SLICE": "SliceOptions",
    "SOFTMAX": "SoftmaxOptions", "SPACE_TO_BATCH_ND": "SpaceToBatchNDOptions", "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "SPLIT": "SplitOptions", "SPLIT_V": "SplitVOptions", "SQUEEZE": "SqueezeOptions",
    "STRIDED_SLICE": "StridedSliceOptions", "SUB": "SubOptions", "SUM": "ReducerOptions", "TOPK_V2": "TopKV2Options",
    "TRANSPOSE": "TransposeOptions", "TRANSPOSE_CONV": "TransposeConvOptions", "UNPACK": "UnpackOptions",
}  # fmt: skip


class Writer:
    """A model of one subgraph. ``tensor`` gives a tensor's number, ``op`` appends an operator."""

    def __init__(self) -> None:
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str = "int8",
        scale: Any = None,
        zero: int = 0,
        axis: int = 0,
        data: Any = None,
        name: str = "",
        variable: bool = False,
        signature: Sequence[int] = (),
    ) -> int:
        """A tensor, a constant when there is ``data``; ``scale`` is one number or one for each index of ``axis``."""
        tensor: Any = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), _TYPES[dtype], 0
        tensor.isVariable, tensor.shapeSignature = variable, list(signature) or None
        tensor.name = name or f"t{len(self._tensors)}"
        if scale is not None:
            quant: Any = schema.QuantizationParametersT()
            quant.scale = np.atleast_1d(np.asarray(scale, np.float32))
            quant.zeroPoint = np.full(quant.scale.shape, zero, np.int64)
            quant.quantizedDimension = axis
            tensor.quantization = quant
        if data is not None:
            buffer: Any = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            self._buffers.append(buffer)
            tensor.buffer = len(self._buffers) - 1
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def ints(self, *values: int) -> int:
        """A constant list of int32."""
        return self.tensor((len(values),), "int32", data=np.array(values, np.int32))

    def input(self, shape: Sequence[int], dtype: str = "int8", scale: Any = None, zero: int = 0) -> int:
        self.inputs.append(self.tensor(shape, dtype, scale, zero))
        return self.inputs[-1]

    def op(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], custom: str = "", payload: bytes = b"",
        **options: Any,
    ) -> None:  # fmt: skip
        """An operator; a ``custom`` one has its name, and options as bytes."""
        code: Any = schema.OperatorCodeT()
        code.builtinCode = schema.BuiltinOperator.CUSTOM if custom else getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        code.customCode = custom or None
        self._codes.append(code)
        operator: Any = schema.OperatorT()
        operator.opcodeIndex = len(self._codes) - 1
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        operator.customOptions = np.frombuffer(payload, np.uint8) if payload else None
        if name in _OPTIONS:
            kind = _OPTIONS[name]
            table = getattr(schema, f"{kind}T")()
            for key, value in options.items():
                if not hasattr(table, key):
                    raise KeyError(key)
                setattr(table, key, value)
            operator.builtinOptions, operator.builtinOptionsType = table, getattr(schema.BuiltinOptions, kind)
        self._operators.append(operator)

    def set_options(self, table: Any, kind: int) -> None:
        """Give the last operator this table of options."""
        self._operators[-1].builtinOptions, self._operators[-1].builtinOptionsType = table, kind

    def bytes(self) -> bytes:
        """The file."""
        model: Any = schema.ModelT()
        graph: Any = schema.SubGraphT()
        model.version, model.operatorCodes, model.buffers = 3, self._codes, self._buffers
        graph.tensors, graph.operators, graph.name = self._tensors, self._operators, "main"
        graph.inputs, graph.outputs = self.inputs, self.outputs
        model.subgraphs = [graph]
        builder: Any = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
