"""Element types of tensors, by the short names used in printed IR."""

from __future__ import annotations

from enum import Enum


class DType(Enum):
    """An element type; the value is its short name in printed IR and in ENF files."""

    I8 = "i8"
    U8 = "u8"
    I16 = "i16"
    U16 = "u16"
    I32 = "i32"
    U32 = "u32"
    I64 = "i64"
    U64 = "u64"
    F16 = "f16"
    BF16 = "bf16"
    F32 = "f32"
    F64 = "f64"
    BOOL = "bool"
    STR = "str"
    ANY = "any"
    """A value that only ONNX Runtime handles: a sequence, an optional, a tensor of unknown rank or of another type."""

    @property
    def numpy_name(self) -> str:
        """The name NumPy knows it by, e.g. ``int8``; bfloat16 needs the ml_dtypes package to be imported."""
        return _NUMPY[self]

    @property
    def itemsize(self) -> int:
        """Bytes an element; 0 for strings and for what is no tensor."""
        return _SIZE[self]

    @property
    def quantized(self) -> bool:
        """True for the two types the NPU computes on."""
        return self in (DType.I8, DType.U8)

    @classmethod
    def of(cls, numpy_name: str) -> DType:
        """The type with this NumPy name. Raises KeyError when there is none."""
        return _FROM_NUMPY[numpy_name]


_NUMPY = {
    DType.I8: "int8", DType.U8: "uint8", DType.I16: "int16", DType.U16: "uint16", DType.I32: "int32",
    DType.U32: "uint32", DType.I64: "int64", DType.U64: "uint64", DType.F16: "float16", DType.BF16: "bfloat16",
    DType.F32: "float32", DType.F64: "float64", DType.BOOL: "bool", DType.STR: "object",
    DType.ANY: "object",
}  # fmt: skip
_SIZE = {
    DType.I8: 1, DType.U8: 1, DType.I16: 2, DType.U16: 2, DType.I32: 4, DType.U32: 4, DType.I64: 8, DType.U64: 8,
    DType.F16: 2, DType.BF16: 2, DType.F32: 4, DType.F64: 8, DType.BOOL: 1, DType.STR: 0,
    DType.ANY: 0,
}  # fmt: skip
_FROM_NUMPY = {name: dtype for dtype, name in _NUMPY.items() if dtype is not DType.ANY}
