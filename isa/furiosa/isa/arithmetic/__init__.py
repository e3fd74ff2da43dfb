"""The normative arithmetic of the device on 8-bit data, in NumPy: every other implementation equals this one.

Arrays are NHWC; storage is int8 or uint8 and keeps the model's dtype. The definitions are those of ONNX Runtime 1.32's
x86-64 kernels (AVX2 and later) on quantized graphs, bit for bit; those that begin with ``lite_`` are LiteRT's.
"""

from furiosa.isa.arithmetic.binary import binary
from furiosa.isa.arithmetic.elementwise import Scaling, add, float_add, float_mul, float_sub, float_sum, mul
from furiosa.isa.arithmetic.float32 import fma
from furiosa.isa.arithmetic.functions import batch_normalization
from furiosa.isa.arithmetic.interpolation import (
    IDENTITY,
    Coordinates,
    Neighbours,
    interpolate,
    lite_interpolate,
    neighbours,
    positions,
)
from furiosa.isa.arithmetic.lite import fixed_sum, lite_average_pool, lite_binary, lite_softmax
from furiosa.isa.arithmetic.lite_division import lite_division
from furiosa.isa.arithmetic.norms import l2_normalize, reduce_l2
from furiosa.isa.arithmetic.pooling import (
    average_pool,
    float_average_pool,
    forward_sum,
    global_average_pool,
    max_pool,
    pooled_size,
    real_mean,
    vector_sum,
)
from furiosa.isa.arithmetic.products import conv2d, conv2d_accumulate, matmul, matmul_accumulate, product
from furiosa.isa.arithmetic.quantization import dequantize, quantize, to_signed
from furiosa.isa.arithmetic.requantize import fixed_requantize, multiplier, requantize, scale_accumulator
from furiosa.isa.arithmetic.softmax import exponentials, softmax
from furiosa.isa.arithmetic.tables import FUNCTIONS, affine_table, lookup, table

__all__ = [
    "FUNCTIONS",
    "IDENTITY",
    "Coordinates",
    "Neighbours",
    "Scaling",
    "add",
    "affine_table",
    "average_pool",
    "batch_normalization",
    "binary",
    "conv2d",
    "conv2d_accumulate",
    "dequantize",
    "exponentials",
    "fixed_requantize",
    "fixed_sum",
    "float_add",
    "float_average_pool",
    "float_mul",
    "float_sub",
    "float_sum",
    "fma",
    "forward_sum",
    "global_average_pool",
    "interpolate",
    "l2_normalize",
    "lite_average_pool",
    "lite_binary",
    "lite_division",
    "lite_interpolate",
    "lite_softmax",
    "lookup",
    "matmul",
    "matmul_accumulate",
    "max_pool",
    "mul",
    "multiplier",
    "neighbours",
    "pooled_size",
    "positions",
    "product",
    "quantize",
    "real_mean",
    "reduce_l2",
    "requantize",
    "scale_accumulator",
    "softmax",
    "table",
    "to_signed",
    "vector_sum",
]
