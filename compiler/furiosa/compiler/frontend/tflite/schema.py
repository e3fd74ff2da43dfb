"""The TFLite schema as far as it is needed: operators by number, and where the fields of their options lie.

Tests compare it with the schema that ``ai-edge-litert`` ships. That module takes longer to import than a small model to
compile, so it is not used here.
"""

from __future__ import annotations

_OPERATORS = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM
MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS
SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND
SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN
EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2
GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG
SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT
UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU
SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE
MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5
SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO
RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE
RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD
STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS
STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE
STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH
STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE
STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE
STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE
STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
"""
OPERATORS = tuple(_OPERATORS.split())
"""The builtin operators, by number."""

CUSTOM = OPERATORS.index("CUSTOM")

TYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "str", 6: "bool", 7: "int16", 8: "complex64",
    9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 13: "resource", 14: "variant", 15: "uint32",
    16: "uint16", 17: "int4", 18: "bfloat16", 19: "int2", 20: "uint4", 21: "float8_e4m3fn", 22: "float8_e5m2",
}  # fmt: skip
"""Element types, by number."""

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")

Field = tuple[str, str, float]
"""A field of a table: its name, its type as in the module ``struct``, and its default; ``v`` is a vector of int32."""

_ACTIVATION: Field = ("fused_activation_function", "b", 0)
_PADDING: Field = ("padding", "b", 0)
_STRIDES: tuple[Field, ...] = (("stride_w", "i", 0), ("stride_h", "i", 0))
_DILATION: tuple[Field, ...] = (("dilation_w_factor", "i", 1), ("dilation_h_factor", "i", 1))
_CORNERS: tuple[Field, ...] = (("align_corners", "?", 0), ("half_pixel_centers", "?", 0))
_POOL: tuple[Field, ...] = (_PADDING, *_STRIDES, ("filter_width", "i", 0), ("filter_height", "i", 0), _ACTIVATION)
_ARITHMETIC: tuple[Field, ...] = (_ACTIVATION, ("pot_scale_int16", "?", 1))
_REDUCER: tuple[Field, ...] = (("keep_dims", "?", 0),)

OPTIONS: dict[str, tuple[str, tuple[Field, ...]]] = {
    "ADD": ("AddOptions", _ARITHMETIC),
    "ARG_MAX": ("ArgMaxOptions", (("output_type", "b", 0),)),
    "ARG_MIN": ("ArgMinOptions", (("output_type", "b", 0),)),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _POOL),
    "BATCH_MATMUL": ("BatchMatMulOptions", (("adj_x", "?", 0), ("adj_y", "?", 0))),
    "CAST": ("CastOptions", (("in_data_type", "b", 0), ("out_data_type", "b", 0))),
    "CONCATENATION": ("ConcatenationOptions", (("axis", "i", 0), _ACTIVATION)),
    "CONV_2D": ("Conv2DOptions", (_PADDING, *_STRIDES, _ACTIVATION, *_DILATION)),
    "CUMSUM": ("CumsumOptions", (("exclusive", "?", 0), ("reverse", "?", 0))),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions",
                          (_PADDING, *_STRIDES, ("depth_multiplier", "i", 0), _ACTIVATION, *_DILATION)),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", (("block_size", "i", 0),)),
    "DIV": ("DivOptions", (_ACTIVATION,)),
    "FULLY_CONNECTED": ("FullyConnectedOptions", (_ACTIVATION, ("weights_format", "b", 0), ("keep_num_dims", "?", 0))),
    "GATHER": ("GatherOptions", (("axis", "i", 0), ("batch_dims", "i", 0))),
    "GELU": ("GeluOptions", (("approximate", "?", 0),)),
    "L2_NORMALIZATION": ("L2NormOptions", (_ACTIVATION,)),
    "L2_POOL_2D": ("Pool2DOptions", _POOL),
    "LEAKY_RELU": ("LeakyReluOptions", (("alpha", "f", 0.0),)),
    "LOCAL_RESPONSE_NORMALIZATION": ("LocalResponseNormalizationOptions", (
        ("radius", "i", 0), ("bias", "f", 0.0), ("alpha", "f", 0.0), ("beta", "f", 0.0))),
    "MAX_POOL_2D": ("Pool2DOptions", _POOL),
    "MEAN": ("ReducerOptions", _REDUCER),
    "MIRROR_PAD": ("MirrorPadOptions", (("mode", "b", 0),)),
    "MUL": ("MulOptions", (_ACTIVATION,)),
    "ONE_HOT": ("OneHotOptions", (("axis", "i", 0),)),
    "PACK": ("PackOptions", (("values_count", "i", 0), ("axis", "i", 0))),
    "REDUCE_ALL": ("ReducerOptions", _REDUCER),
    "REDUCE_ANY": ("ReducerOptions", _REDUCER),
    "REDUCE_MAX": ("ReducerOptions", _REDUCER),
    "REDUCE_MIN": ("ReducerOptions", _REDUCER),
    "REDUCE_PROD": ("ReducerOptions", _REDUCER),
    "REVERSE_SEQUENCE": ("ReverseSequenceOptions", (("seq_dim", "i", 0), ("batch_dim", "i", 0))),
    "RESHAPE": ("ReshapeOptions", (("new_shape", "v", 0),)),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", (("new_height", "i", 0), ("new_width", "i", 0), *_CORNERS)),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", _CORNERS),
    "SOFTMAX": ("SoftmaxOptions", (("beta", "f", 0.0),)),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", (("block_size", "i", 0),)),
    "SPLIT": ("SplitOptions", (("num_splits", "i", 0),)),
    "SPLIT_V": ("SplitVOptions", (("num_splits", "i", 0),)),
    "SQUEEZE": ("SqueezeOptions", (("squeeze_dims", "v", 0),)),
    "STRIDED_SLICE": ("StridedSliceOptions", (
        ("begin_mask", "i", 0), ("end_mask", "i", 0), ("ellipsis_mask", "i", 0), ("new_axis_mask", "i", 0),
        ("shrink_axis_mask", "i", 0), ("offset", "?", 0))),
    "SUB": ("SubOptions", _ARITHMETIC),
    "SUM": ("ReducerOptions", _REDUCER),
    "TRANSPOSE_CONV": ("TransposeConvOptions", (_PADDING, *_STRIDES, _ACTIVATION)),
    "UNPACK": ("UnpackOptions", (("num", "i", 0), ("axis", "i", 0))),
}  # fmt: skip
"""The options of operators: the schema's name of the table, and its fields in the order of their numbers."""

OPTION_TYPES = {
    "AddOptions": 11, "ArgMaxOptions": 40, "ArgMinOptions": 57, "Pool2DOptions": 5, "BatchMatMulOptions": 101,
    "CastOptions": 37, "ConcatenationOptions": 10, "Conv2DOptions": 1, "CumsumOptions": 102,
    "DepthwiseConv2DOptions": 2, "DepthToSpaceOptions": 94, "DivOptions": 29, "FullyConnectedOptions": 8,
    "GatherOptions": 23, "GeluOptions": 116, "L2NormOptions": 12, "LeakyReluOptions": 75,
    "LocalResponseNormalizationOptions": 13, "ReducerOptions": 27, "MirrorPadOptions": 77, "MulOptions": 21,
    "OneHotOptions": 61, "PackOptions": 59, "ReshapeOptions": 17, "ReverseSequenceOptions": 87,
    "ResizeBilinearOptions": 15, "ResizeNearestNeighborOptions": 74, "SoftmaxOptions": 9, "SpaceToDepthOptions": 19,
    "SplitOptions": 35, "SplitVOptions": 79, "SqueezeOptions": 30, "StridedSliceOptions": 32, "SubOptions": 28,
    "TransposeConvOptions": 49, "UnpackOptions": 64,
}  # fmt: skip
"""The number of each options table in the union of all."""
