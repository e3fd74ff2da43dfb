"""A small TFLite network."""

from __future__ import annotations

import numpy as np

from tflite_writer import Writer


def network() -> bytes:
    """Two convolutions, a sum, a pool, a product and a Softmax."""
    w, rng = Writer(), np.random.default_rng(3)
    x = w.input((1, 12, 12, 3), "uint8", 1 / 128, 128)
    last, channels, s = x, 3, 1 / 128
    shortcuts = []
    for outputs in (16, 16):
        data = rng.integers(0, 256, (outputs, 3, 3, channels)).astype(np.uint8)
        bias = rng.integers(-900, 900, outputs).astype(np.int32)
        weights = (w.tensor(data.shape, "uint8", 0.004, 121, data=data),
                   w.tensor((outputs,), "int32", s * 0.004, 0, data=bias))  # fmt: skip
        y = w.tensor((1, 12, 12, outputs), "uint8", 0.03, 11)
        w.op("CONV_2D", (last, *weights), [y], padding=0, strideW=1, strideH=1, fusedActivationFunction=3)
        shortcuts.append(y)
        last, channels, s = y, outputs, 0.03
    total = w.tensor((1, 12, 12, 16), "uint8", 0.05, 3)
    w.op("ADD", shortcuts, [total], fusedActivationFunction=1)
    pooled, flat = w.tensor((1, 1, 1, 16), "uint8", 0.05, 3), w.tensor((1, 16), "uint8", 0.05, 3)
    w.op("AVERAGE_POOL_2D", [total], [pooled], filterWidth=12, filterHeight=12, strideW=1, strideH=1, padding=1)
    w.op("RESHAPE", [pooled, w.ints(1, 16)], [flat])
    logits, data = w.tensor((1, 10), "uint8", 0.1, 99), rng.integers(0, 256, (10, 16)).astype(np.uint8)
    w.op("FULLY_CONNECTED", [flat, w.tensor((10, 16), "uint8", 0.02, 131, data=data), -1], [logits])
    w.outputs = [w.tensor((1, 10), "uint8", 1 / 256, 0)]
    w.op("SOFTMAX", [logits], w.outputs, beta=1.0)
    return w.bytes()
