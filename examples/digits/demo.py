"""The demonstration: quantize the digit network, compile it, run every held-back image on the simulated NPU.

    python examples/digits/demo.py

Ends with status 0 when the outputs are bit-equal to ONNX Runtime's on the same quantized model and the accuracy of the
int8 network is at least 90 %, with 1 when one of them is not so. The activations are uint8 by default: with int8 ones
ONNX Runtime on x86 computes three convolutions of this network in float32, where a few roundings go the other way.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from digit_images import MODEL, DigitImages, Floats, load, to_input
from furiosa.compiler import compile_model
from furiosa.isa.errors import ExitStatus, FuriosaError
from furiosa.npu_sim.kernels import choose
from furiosa.runtime.profiler import profile
from furiosa.runtime.sync import create_runner
from quantize import ACTIVATIONS, quantize

DEVICES = {"warboy-2pe": "warboy(2)*1", "warboy": "warboy(1)*1"}
LEAST_ACCURACY = 0.9
TRACED = 8


@dataclass(frozen=True, slots=True)
class NpuRun:
    """All images on one simulated target: logits `(count, 10)`, the compiler's report, and wall seconds of the runs."""

    target: str
    logits: Floats
    report: dict[str, Any]
    seconds: float

    @property
    def speed(self) -> float:
        """Images in a second of wall time on this computer."""
        return len(self.logits) / self.seconds


def progress(text: str) -> None:
    """Say what happens now, on a terminal only; an empty text clears the line."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def run_onnxruntime(model: Path, images: Floats) -> Floats:
    """Logits of ONNX Runtime, image by image."""
    options = onnxruntime.SessionOptions()
    # Without it ONNX Runtime's int8 kernels may saturate in between on x86 processors that have no VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["logits"], {"image": image[None]})[0] for image in images])


def run_npu(model: Path, target: str, images: Floats) -> NpuRun:
    """Compile for ``target``, write the ENF beside the model, run every image once."""
    progress(f"compiling for {target}")
    compiled = compile_model(model, target=target)
    enf = enf_of(model, target)
    enf.write_bytes(compiled.enf)
    logits = []
    with create_runner(enf, device=DEVICES[target]) as runner:
        runner.run([images[:1]])  # the first run pays for memory that the later ones reuse
        start = time.perf_counter()
        for index, image in enumerate(images):
            if index % 50 == 0:
                progress(f"running on the simulated {target}: {index} of {len(images)}")
            logits.append(runner.run([image[None]])[0])
        seconds = time.perf_counter() - start
    return NpuRun(target, np.concatenate(logits), compiled.report, seconds)


def enf_of(model: Path, target: str) -> Path:
    """Where the compiled form of ``model`` for ``target`` lies."""
    return model.with_name(f"{model.stem}-{target}.enf")


def write_trace(path: Path, enf: Path, target: str, digits: DigitImages) -> None:
    """A Chrome trace of the first few images, each under a span that names its digit."""
    progress("writing the trace")
    with open(path, "w") as file, profile(file=file) as profiler, create_runner(enf, device=DEVICES[target]) as runner:
        for pixels, label in zip(digits.images[:TRACED], digits.labels[:TRACED], strict=True):
            with profiler.record(f"digit {label}"):
                runner.run([to_input(pixels[None])])


def differing(logits: Floats, expected: Floats) -> int:
    """How many logits differ in any bit."""
    return int((logits.view(np.uint32) != expected.view(np.uint32)).sum())


def print_table(rows: Sequence[tuple[str, str, str]]) -> None:
    """Rows of name, value and remark in aligned columns."""
    name, value = (max(len(row[column]) for row in rows) for column in (0, 1))
    for row in rows:
        print(f"  {row[0]:<{name}}  {row[1]:>{value}}  {row[2]}".rstrip())


def share(good: int, count: int) -> tuple[str, str]:
    """A part of the whole, in percent and in numbers."""
    return f"{good / count:.2%}", f"{good} of {count}"


def demonstrate(folder: Path, activations: str) -> bool:
    """Do all of it and print the table; True when the outputs are bit-equal and the accuracy is as it should be."""
    digits = load()
    images, count = to_input(digits.images), len(digits.labels)
    quantized = folder / f"digits-{activations}.onnx"
    progress("quantizing")
    quantize(quantized, activations)
    progress("running ONNX Runtime")
    exact, expected = run_onnxruntime(MODEL, images), run_onnxruntime(quantized, images)
    runs = [run_npu(quantized, target, images) for target in DEVICES]
    fused = runs[0]
    trace = folder / "digits-trace.json"
    write_trace(trace, enf_of(quantized, fused.target), fused.target, digits)
    progress("")

    answers = fused.logits.argmax(axis=1)
    correct = int((answers == digits.labels).sum())
    wrong_bits = sum(differing(run.logits, expected) for run in runs)
    print(f"Handwritten digits on the simulated NPU: {count} held-back images, {activations} activations\n")
    rows = [
        ("float accuracy (ONNX Runtime)", *share(int((exact.argmax(axis=1) == digits.labels).sum()), count)),
        ("int8 accuracy (simulated NPU)", *share(correct, count)),
        ("agreement float / int8", *share(int((answers == exact.argmax(axis=1)).sum()), count)),
        (
            "bit-equal to ONNX Runtime",
            "no" if wrong_bits else "yes",
            f"{wrong_bits} of {expected.size * len(runs)} logits differ, {len(runs)} targets",
        ),
    ]
    rows += [
        (
            f"latency, {run.target} (modelled)",
            f"{run.report['npu_latency_us']:.1f} us",
            f"one image on the NPU: {run.report['macs'] / 1e6:.2f} M MACs, NPU clusters: {run.report['npu_clusters']}",
        )
        for run in runs
    ]
    rows += [
        (
            f"speed, {run.target} (measured)",
            f"{run.speed:.0f} images/s",
            f"this computer, one image at a time; kernels: {choose()}",
        )
        for run in runs
    ]
    print_table(rows)
    print(f"\n  compiled  {', '.join(str(enf_of(quantized, target)) for target in DEVICES)}")
    print(f"  trace     {trace}  (first {TRACED} images; open it in https://ui.perfetto.dev)")
    return not wrong_bits and correct / count >= LEAST_ACCURACY


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the digit network on the simulated NPU.")
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="folder of the results")
    parser.add_argument("--activations", choices=list(ACTIVATIONS), default="uint8", help="default: uint8")
    options = parser.parse_args()
    try:
        good = demonstrate(options.output, options.activations)
    except FuriosaError as error:
        progress("")
        print(error.render(), file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        progress("")
        return ExitStatus.INTERRUPTED
    return ExitStatus.OK if good else ExitStatus.NO


if __name__ == "__main__":
    sys.exit(main())
