"""The four steps of the litmus test: load and optimize, quantize, compile, run once."""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from furiosa.isa import env
from furiosa.isa.errors import ExitStatus, FuriosaError, InternalError, ModelError, OptionError
from furiosa.litmus import modelfile
from furiosa.litmus.evidence import Evidence, details
from furiosa.litmus.options import Options
from furiosa.litmus.talk import explain, say, show

if TYPE_CHECKING:
    from furiosa.compiler import Compiled

Status = Literal["passed", "failed", "skipped", "not run"]
NAMES = ("load and optimize", "quantize", "compile", "infer")
_DEVICES = {"warboy": "warboy(1)*1", "warboy-2pe": "warboy(2)*1"}


@dataclass(slots=True)
class Step:
    """How a step ended, after how many seconds, and the error that ended it."""

    name: str
    status: Status = "not run"
    seconds: float = 0.0
    error: Exception | None = None


@dataclass
class Litmus:
    """One litmus test. ``report`` is the compiler's, empty until step 3 has passed."""

    options: Options
    evidence: Evidence
    steps: list[Step] = field(default_factory=lambda: [Step(name) for name in NAMES])
    report: dict[str, Any] = field(default_factory=dict)

    def run(self) -> None:
        """Run the steps, with their lines on stdout and stderr; write the archive, also when a step fails.

        The error of a step leaves, as SystemExit for a file that is no ONNX model and for step 4.
        """
        say(_versions())
        _check_readable(self.options.model)
        evidence = self.evidence
        try:
            evidence.add_metadata()
            model = self._loaded() if self.options.skip_quantization else self._quantized()
            self._infer(self._compiled(model))
        finally:
            evidence.add_model(self.status, self.verdict)
            evidence.close()

    @property
    def failed(self) -> Step | None:
        """The step that failed."""
        return next((step for step in self.steps if step.status == "failed"), None)

    @property
    def status(self) -> int:
        """The exit status: 0 the model works, 1 it does not; 2, 3 and 70 when something else is at fault."""
        failed = self.failed
        if failed is None or failed.error is None:
            return ExitStatus.OK
        error = failed.error
        if isinstance(error.__cause__, FuriosaError):  # the runtime's errors have the one that says who acts
            error = error.__cause__
        if not isinstance(error, FuriosaError) or isinstance(error, InternalError):
            return ExitStatus.INTERNAL
        if error.exit_status == ExitStatus.DEVICE:
            return ExitStatus.DEVICE
        number = self.steps.index(failed) + 1
        asked = isinstance(error, OptionError) and number > 2
        first_read = number == 3 and self.options.skip_quantization
        unreadable = isinstance(error, modelfile.NotOnnxError) or (first_read and isinstance(error, ModelError))
        return ExitStatus.USAGE if asked or unreadable else ExitStatus.NO

    @property
    def verdict(self) -> str:
        """The answer in one line."""
        failed = self.failed
        if failed is None and not self.report:
            return "no answer: the run was ended"
        if failed is not None:
            answer = "the model does not work" if self.status == ExitStatus.NO else "no answer"
            reason = " ".join(str(failed.error).split())
            return f"{answer}: step {self.steps.index(failed) + 1} ({failed.name}) failed: {reason}"
        cpu = len(self.cpu_operators)
        operators = [row for row in self.report["placement"] if row["reason_code"] != "boundary_layout"]
        npu = sum(row["device"] == "npu" for row in operators)
        latency = self.report["npu_latency_us"]
        return (f"the model works on {self.options.target}: {npu} operators on the NPU, {cpu} on the CPU, "
                f"{latency:,.1f} us NPU time (modelled)")  # fmt: skip

    @property
    def cpu_operators(self) -> list[dict[str, str]]:
        """The model's operators that the CPU runs, with the reasons."""
        rows = self.report.get("placement", [])
        return [row for row in rows if row["device"] == "cpu" and row["reason_code"] != "boundary_layout"]

    @contextmanager
    def _step(self, number: int) -> Iterator[None]:
        """Take the time of what is inside, and note how it ends."""
        step = self.steps[number - 1]
        start = time.perf_counter()
        try:
            yield
            step.status = "passed"
        except Exception as error:
            step.status, step.error = "failed", error
            raise
        finally:
            step.seconds = time.perf_counter() - start

    @contextmanager
    def _told(self, number: int) -> Iterator[None]:
        """A step with its last line."""
        try:
            with self._step(number):
                yield
        except modelfile.NotOnnxError:
            say("[Step 1] ERROR: The input file should be a valid ONNX file")
            raise
        except Exception:
            say(f"[Step {number}] Failed\n")
            raise
        show(f"[Step {number}] Passed")

    def _quantized(self) -> bytes:
        """Steps 1 and 2."""
        show("[Step 1] Checking if the model can be loaded and optimized ...")
        try:
            with self._told(1):
                from furiosa.optimizer import optimize_model

                model = optimize_model(modelfile.load(self.options.model))
        except modelfile.NotOnnxError as error:
            raise SystemExit(int(ExitStatus.USAGE)) from error
        show("[Step 2] Checking if the model can be quantized ...")
        with self._told(2):
            from furiosa.litmus.calibration import calibrate_with_random_data
            from furiosa.quantizer import quantize

            return quantize(model, calibrate_with_random_data(model))

    def _loaded(self) -> bytes | Path:
        """What stands for steps 1 and 2 of a model that is quantized already: the file, as it is."""
        show("[Step 1] Skip model loading and optimization")
        show("[Step 2] Skip model quantization")
        show("[Step 1 & Step 2] Load quantized model ...")
        self.steps[0].status = self.steps[1].status = "skipped"
        path = self.options.model
        if modelfile.MARK.encode() not in path.read_bytes():
            return path  # its external data lie beside it
        return bytes(modelfile.load(path).SerializeToString(deterministic=True))

    def _compiled(self, model: bytes | Path) -> Compiled:
        """Step 3."""
        show(f"[Step 3] Checking if the model can be compiled for the NPU family [{self.options.target}] ...")
        log: list[str] = []
        try:
            with self._told(3):
                from furiosa.compiler import compile_model

                # An archive shows how the model is compiled: a result of the cache has nothing to show.
                compiled = compile_model(model, self.options.target, progress=lambda text: _progress(text, log),
                                         cache_enabled=not self.evidence.wanted)  # fmt: skip
                self.report = compiled.report
                log += details(self.report)
                self.evidence.add_layers(compiled)
        except Exception as error:
            log.append(f"{error.render() if isinstance(error, FuriosaError) else error!r}\n")
            raise
        finally:
            self.evidence.add_log("".join(log))
        if self.options.verbose:
            say("".join(details(self.report)))
        return compiled

    def _infer(self, compiled: Compiled) -> None:
        """Step 4."""
        show("[Step 4] Perform inference once for data collection... (Optional)")
        try:
            importlib.import_module("furiosa.runtime.bench")
            from furiosa.cli.bench import bench
        except ImportError:
            self.steps[3].status = "skipped"
            say("[Step 4] Skip, there is no furiosa-bench")
            return
        try:
            with self._step(4), tempfile.TemporaryDirectory(prefix="furiosa-litmus-") as folder:
                enf, trace = Path(folder, "model.enf"), Path(folder, "trace.json")
                enf.write_bytes(compiled.enf)
                arguments = [str(enf)]
                if not (env.DEVICES.get() or env.DEVNAME.get()):
                    arguments += ["--devices", _DEVICES[self.options.target]]
                if self.evidence.wanted:
                    arguments += ["--trace-output", str(trace)]
                bench.main(arguments, prog_name="furiosa-bench", standalone_mode=False)
                self.evidence.add_trace(trace)
        except RuntimeError as error:
            say("[Step 4] Failed\n")
            raise SystemExit(int(ExitStatus.NO)) from error
        show("[Step 4] Finished")


def validate(
    model_path: str | Path, dump_path: str | None = None, skip_quantization: bool = False, verbose: bool = False,
    target_npu: str = "warboy-2pe",
) -> Literal[True]:  # fmt: skip
    """Try the model and tell each step on stdout; True when all pass.

    ``dump_path`` is the prefix of an archive of logs. The error of a step is raised: SystemExit for a file that is
    absent or no ONNX model, and when the inference fails.
    """
    options = Options(Path(model_path), skip_quantization, verbose, target_npu)
    test = Litmus(options, Evidence(options, dump_path))
    try:
        test.run()
    except SystemExit:
        if test.steps[3].error is not None:
            explain(test.steps[3].error)  # nobody else would say it
        raise
    return True


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except FileNotFoundError:
        _absent(path)
    except OSError as error:
        raise ModelError(f"cannot read the model `{path}`: {error.strerror}",
                         hint="check the path and its permissions") from None  # fmt: skip


def _absent(path: Path) -> NoReturn:
    say(f"ERROR: {path} does not exist")
    raise SystemExit(int(ExitStatus.USAGE))


def _versions() -> str:
    from furiosa.isa.version import version_info

    version = version_info()
    return " ".join(f"{name} {version.version} (rev. {version.hash[:9]})"
                    for name in ("furiosa-quantizer", "furiosa-litmus"))  # fmt: skip


def _progress(text: str, log: list[str]) -> None:
    log.append(text)
    say(text, end="")
