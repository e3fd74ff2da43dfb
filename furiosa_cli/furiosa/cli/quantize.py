"""furiosa quantize: from a float model and calibration data to an int8 model, with a look at what is lost."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from furiosa.cli.command import Command, run_command
from furiosa.cli.errors import emit
from furiosa.cli.tables import Column, Row, render

if TYPE_CHECKING:
    from furiosa.quantizer.analysis import Analysis
    from furiosa.quantizer.datafiles import Preprocessing

T = TypeVar("T")
_METHODS = tuple(f"{kind}-{form}" for kind in ("min-max", "entropy", "percentile", "mse", "sqnr")
                 for form in ("asym", "sym"))  # fmt: skip
_WORST = 10
_EXPLORED = 8
_FIX_SHAPE = "fix the shape, e.g. with `python -m onnxruntime.tools.make_dynamic_shape_fixed`"
_COLUMNS = tuple(
    Column(title, key)
    for title, key in (
        ("Tensor", "tensor"), ("Operator", "operator"), ("SQNR (dB)", "sqnr_db"), ("of its own", "alone_sqnr_db"),
        ("Cosine", "cosine"), ("Clipped", "clipped"), ("Unused codes", "unused_codes"),
    )
)  # fmt: skip


def _size(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"`{text}` is no size: write HEIGHTxWIDTH, as in 224x224")
    return int(parts[0]), int(parts[1])


def _numbers(_: click.Context, __: click.Parameter, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"`{text}` is no list of numbers: write 0.5 or 0.485,0.456,0.406") from None


@click.command(
    cls=Command,
    examples="""
furiosa quantize model.onnx -o int8.onnx --data samples.npz
furiosa quantize model.onnx -o int8.onnx --data images/ --mean 0.485,0.456,0.406 --std 0.229
furiosa quantize model.onnx -o int8.onnx --data samples.npz --method mse-asym --report losses.html
furiosa quantize model.onnx -o int8.onnx --data samples.npz --input-type uint8 --exclude Softmax""",
)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="OUT", help="The int8 model.")
@click.option("--data", type=click.Path(path_type=Path), required=True, metavar="DIR|NPZ",
              help="Calibration data: an .npy or .npz file, or a folder of those or of images.")  # fmt: skip
@click.option("--method", type=click.Choice(_METHODS, case_sensitive=False), default="min-max-asym", show_default=True,
              metavar="METHOD",
              help="How ranges are chosen: min-max, entropy, percentile, mse or sqnr, and -asym or -sym.")  # fmt: skip
@click.option("--percentage", type=float, default=99.99, show_default=True, help="Of the percentile methods.")
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Use the first N samples.  [default: all]")
@click.option("--input-type", type=click.Choice(("uint8", "int8")),
              help="Integer inputs: for uint8 a cheap Quantize step is left, for int8 none.")  # fmt: skip
@click.option("--output-type", type=click.Choice(("uint8", "int8")), help="Integer outputs.")
@click.option("--exclude", multiple=True, metavar="NAME", help="A node or an operator that stays float32; repeatable.")
@click.option("--optimize/--no-optimize", default=True, show_default=True, help="Run `optimize_model` first.")
@click.option("--size", callback=_size, metavar="HEIGHTxWIDTH", help="Of images.  [default: the input's]")
@click.option("--mean", callback=_numbers, default="0", show_default=True, help="Of images: (pixel/255 - mean) / std.")
@click.option("--std", callback=_numbers, default="1", show_default=True, help="One number, or one a channel.")
@click.option("--layout", type=click.Choice(("NCHW", "NHWC")), help="Of image inputs.  [default: by their shape]")
@click.option("--bgr", is_flag=True, help="Images have blue first.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE",
              help="Also write all losses, and what leaving operators out would bring: .html or .json.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
def quantize(
    model: Path, output: Path, data: Path, method: str, percentage: float, samples: int | None, input_type: str | None,
    output_type: str | None, exclude: tuple[str, ...], optimize: bool, size: tuple[int, int] | None,
    mean: tuple[float, ...], std: tuple[float, ...], layout: str | None, bgr: bool, report: Path | None, quiet: bool,
) -> None:  # fmt: skip
    """Quantize MODEL, a float32 ONNX model, to int8 in QDQ form.

    Prints the tensors whose operators lose most, measured on the calibration data.
    """
    from furiosa.isa.errors import OptionError
    from furiosa.isa.files import check_outputs, save_all
    from furiosa.quantizer.datafiles import Preprocessing

    if report is not None and report.suffix.lower() not in (".html", ".json"):
        raise OptionError(f"`{report}` is neither .html nor .json", hint="name the report `losses.html`")
    check_outputs([model, data], [output, report])
    work = _Work(_read(model, optimize), data, Preprocessing(size, mean, std, layout, bgr), samples, quiet)
    ranges = work.calibrate(method, percentage)
    quantized = work.quantized(ranges, exclude, input_type, output_type)
    analysis = work.analyze(ranges, exclude)
    files: dict[Path, str | bytes] = {output: quantized}
    if report is not None:
        files[report] = work.report(analysis, ranges, report.suffix.lower() == ".html", model.name)
    save_all(files)
    if not quiet:
        emit(_table(analysis))


class _Work:
    """One quantization: the float model and where its samples come from, read anew for each pass over them."""

    def __init__(self, model: Any, data: Path, preprocessing: Preprocessing, count: int | None, quiet: bool) -> None:
        from furiosa.quantizer.names import get_pure_input_names
        from furiosa.quantizer.samples import Input

        pure = get_pure_input_names(model)
        self._model, self._data, self._preprocessing, self._count, self._quiet = (
            model,
            data,
            preprocessing,
            count,
            quiet,
        )
        self._inputs = [Input.of(value) for value in model.graph.input if value.name in pure]

    def _samples(self) -> Iterator[list[Any]]:
        from furiosa.quantizer.datafiles import read_samples

        return read_samples(self._data, self._inputs, self._preprocessing, self._count)

    def calibrate(self, method: str, percentage: float) -> dict[str, tuple[float, float]]:
        from furiosa.quantizer import CalibrationMethod, Calibrator

        chosen = CalibrationMethod[method.upper().replace("-", "_")]
        calibrator = Calibrator(self._model, chosen, percentage=percentage)
        calibrator.collect_data(_shown(self._samples(), "calibrating", self._quiet))
        return calibrator.compute_range(verbose=not self._quiet)

    def quantized(
        self, ranges: dict[str, tuple[float, float]], exclude: Sequence[str], input_type: str | None,
        output_type: str | None,
    ) -> bytes:  # fmt: skip
        from onnx import ModelProto

        from furiosa.quantizer import ModelEditor, TensorType, get_output_names
        from furiosa.quantizer.quantize import quantize_model

        edited = ModelProto()
        edited.CopyFrom(self._model)
        editor = ModelEditor(edited)
        for name in [x.name for x in self._inputs if x.dtype.kind == "f"] if input_type else []:
            editor.convert_input_type(name, TensorType[str(input_type).upper()])
        for name in get_output_names(self._model) if output_type else []:
            editor.convert_output_type(name, TensorType[str(output_type).upper()])
        return bytes(quantize_model(edited, ranges, exclude=exclude).SerializeToString(deterministic=True))

    def analyze(self, ranges: dict[str, tuple[float, float]], exclude: Sequence[str]) -> Analysis:
        from furiosa.quantizer.analysis import analyze
        from furiosa.quantizer.quantize import quantize_model

        plain = quantize_model(self._model, ranges, exclude=exclude)
        return analyze(self._model, plain, _shown(self._samples(), "comparing", self._quiet))

    def report(self, analysis: Analysis, ranges: dict[str, tuple[float, float]], html: bool, name: str) -> str:
        from furiosa.quantizer.exclusion import explore
        from furiosa.quantizer.report import to_html, to_json

        exclusions = explore(self._model, ranges, list(islice(self._samples(), _EXPLORED)), analysis)
        return to_html(analysis, exclusions, f"Quantization of {name}") if html else to_json(analysis, exclusions)


def _read(path: Path, optimize: bool) -> Any:
    """The float model. Raises ModelError for what cannot be read, is no model, or leaves sizes of its inputs open."""
    from furiosa.isa.errors import ModelError
    from furiosa.optimizer import optimize_model
    from furiosa.optimizer.failures import DynamicShapeError
    from furiosa.quantizer.floatmodel import read_float_model

    model = read_float_model(path)
    try:
        return optimize_model(model) if optimize else model
    except DynamicShapeError as error:
        raise ModelError(error.message, where=error.where, hint=_FIX_SHAPE) from None


def _shown(samples: Iterable[T], what: str, quiet: bool) -> Iterator[T]:
    """The samples, with their number on stderr as it grows; nothing is shown where nobody looks."""
    visible = not quiet and sys.stderr is not None and sys.stderr.isatty()
    for count, sample in enumerate(samples, 1):
        if visible:
            sys.stderr.write(f"\r{what}: sample {count}")
            sys.stderr.flush()
        yield sample
    if visible:
        sys.stderr.write("\r\033[K")


def _table(analysis: Analysis) -> str:
    rows = []
    for loss in analysis.worst(_WORST):
        values = (loss.tensor, loss.operator or "input", _decibels(loss.sqnr_db), _decibels(loss.alone_sqnr_db),
                  f"{loss.cosine:.5f}", f"{loss.clipped:.3%}", f"{loss.unused_codes:.0%}")  # fmt: skip
        rows.append(Row(values, {}))
    return render("table", _COLUMNS, rows)


def _decibels(value: float) -> str:
    return "exact" if value == float("inf") else f"{value:.1f}"


def main(arguments: Sequence[str]) -> int:
    """`furiosa quantize`: its exit status."""
    return run_command(quantize, "furiosa quantize", arguments)
