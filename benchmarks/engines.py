"""The engines that are compared: each loads a network and gives a function that runs it once.

Importing this module imports none of them: a process that runs one engine holds nothing of the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from furiosa.runtime.sync import Runtime

ONNXRUNTIME, OPENVINO = "onnxruntime", "openvino"
PEERS = (ONNXRUNTIME, OPENVINO)
DEVICE = "warboy(2)*1"

Array = NDArray[Any]
Inference = Callable[[], list[Array]]


def installed() -> tuple[str, ...]:
    """The peers that can be imported here; others are named on standard error."""
    missing = [peer for peer in PEERS if find_spec(peer) is None]
    for peer in missing:
        print(f"left out: {peer}, which is not installed", file=sys.stderr)
    return tuple(peer for peer in PEERS if peer not in missing)


def able(engines: Sequence[str], file: Path, threads: int, inputs: Sequence[Array]) -> list[str]:
    """The engines less the peers that refuse the ONNX file; these are named on standard error, with their reason.

    ``threads`` is the most that will be used: OpenVINO keeps for good what it first finds.
    """
    left = list(engines)
    for peer in PEERS:
        if peer in left:
            try:
                load(peer, file, threads, inputs)
            except RuntimeError as error:
                print(
                    f"left out: {peer} does not load {file.name}: {str(error).strip().splitlines()[-1]}",
                    file=sys.stderr,
                )
                left.remove(peer)
    return left


def ready(engine: str) -> None:
    """Import what loads and runs networks."""
    import_module(engine if engine in PEERS else "furiosa.runtime.sync")


def load(engine: str, file: Path, threads: int, inputs: Sequence[Array]) -> Inference:
    """The network in ``file``, ready to run on ``inputs``.

    ``engine`` is one of `PEERS`, which read an ONNX file, or the name of our kernels, which read an ENF.
    """
    loaders = {ONNXRUNTIME: _onnxruntime, OPENVINO: _openvino}
    return loaders[engine](file, threads, inputs) if engine in loaders else _ours(engine, file, threads, inputs)


def _onnxruntime(file: Path, threads: int, inputs: Sequence[Array]) -> Inference:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    named = dict(zip([value.name for value in session.get_inputs()], inputs, strict=True))
    return lambda: session.run(None, named)


def _openvino(file: Path, threads: int, inputs: Sequence[Array]) -> Inference:
    """Its fastest synchronous interface: a request that is used again, arrays shared both ways."""
    core = import_module(OPENVINO).Core()
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    model = core.compile_model(core.read_model(file), "CPU", settings)
    request, count = model.create_infer_request(), len(model.outputs)

    def infer() -> list[Array]:
        results = request.infer(inputs, share_inputs=True, share_outputs=True)
        return [results[index] for index in range(count)]

    return infer


def _ours(kernels: str, file: Path, threads: int, inputs: Sequence[Array]) -> Inference:
    os.environ["FURIOSA_SIM_KERNELS"], os.environ["FURIOSA_SIM_THREADS"] = kernels, str(threads)
    runner = _device().create_runner(file)
    return lambda: runner.run(inputs)


@cache
def _device() -> Runtime:
    """Opened once: several runners of one process share it."""
    from furiosa.runtime.sync import Runtime

    return Runtime(DEVICE)
