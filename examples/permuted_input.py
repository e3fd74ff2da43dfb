"""Pictures in NHWC, as cameras and image libraries give them, for a model in NCHW: nobody has anything to transpose.

python examples/permuted_input.py
"""

from __future__ import annotations

import numpy as np

from furiosa.compiler import compile_model
from furiosa.isa import enf
from furiosa.runtime.sync import create_runner
from uint8_input import SHAPE, camera_models

NHWC = [0, 2, 3, 1]  # the axes of the model's input, in the order in which they are given


def lowering(compiled: bytes) -> str:
    """How pictures get into the NPU's layout, which has the channels last."""
    shape = next((step.nchw for step in enf.load(compiled).steps if isinstance(step, enf.Lower)), None)
    if shape is None:
        return "Lower runs on the NPU"
    _, channels, height, width = shape
    free = channels == 1 or height * width == 1
    return f"Lower on the host {'moves nothing' if free else f'transposes {channels} x {height * width} bytes'}"


def main() -> None:
    model = camera_models()[1]
    plain = compile_model(model).enf
    permuted = compile_model(model, config={"permute_input": [NHWC]}).enf
    nchw = np.random.default_rng(1).integers(0, 256, SHAPE, dtype=np.uint8)
    nhwc = np.ascontiguousarray(nchw.transpose(NHWC))

    results = []
    for compiled, x in ((plain, nchw), (permuted, nhwc)):
        with create_runner(compiled) as runner:
            print(runner.model.input(0))
            results += runner.run([x])
        print(f"  {lowering(compiled)}")
    # `create_runner(model, compiler_config={"permute_input": [NHWC]})` compiles and loads in one step.
    print(f"equal results: {np.array_equal(results[0], results[1])}")


if __name__ == "__main__":
    main()
