"""The legacy session: a synchronous runner that shows its model's members as its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

from furiosa.runtime import sync
from furiosa.runtime.arguments import Tensor
from furiosa.runtime.arguments import TensorArray as Inputs
from furiosa.runtime.arrays import TensorArray
from furiosa.runtime.compilation import ModelSource
from furiosa.runtime.interface import Model, TensorDesc


class Session:
    """A loaded model. Errors are those of ``sync.Runner``."""

    def __init__(
        self,
        model: ModelSource,
        device: str | None = None,
        worker_num: int | None = None,
        batch_size: int | None = None,
        compiler_config: Mapping[str, object] | None = None,
        compiler_hints: bool = True,
    ) -> None:
        """Open devices and load a model (a path or bytes: ENF, ONNX or TFLite). Raises FuriosaRuntimeError.

        ``compiler_hints`` is accepted for SDK scripts: why an operator is on the CPU stands in the compiler's report.
        """
        self._runner = sync.create_runner(
            model, device=device, worker_num=worker_num, batch_size=batch_size, compiler_config=compiler_config
        )

    @property
    def model(self) -> Model:
        return self._runner.model

    @property
    def input_num(self) -> int:
        return self.model.input_num

    @property
    def output_num(self) -> int:
        return self.model.output_num

    def inputs(self) -> list[TensorDesc]:
        return self.model.inputs()

    def outputs(self) -> list[TensorDesc]:
        return self.model.outputs()

    def input(self, index: int) -> TensorDesc:
        return self.model.input(index)

    def output(self, index: int) -> TensorDesc:
        return self.model.output(index)

    def summary(self) -> str:
        return self.model.summary()

    def print_summary(self) -> None:
        self.model.print_summary()

    def run(self, inputs: Inputs) -> TensorArray:
        """One inference."""
        return TensorArray.of(self._runner.run(inputs))

    def run_with(self, outputs: Sequence[str], inputs: Mapping[str, Tensor]) -> TensorArray:
        """One inference with tensors by name."""
        return TensorArray.of(self._runner.run_with(outputs, inputs))

    def close(self) -> None:
        """Give the devices back; closing twice is harmless."""
        self._runner.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def create(
    model: ModelSource,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    compiler_config: Mapping[str, object] | None = None,
    compiler_hints: bool = True,
) -> Session:
    """A session for a model. Raises FuriosaRuntimeError."""
    return Session(model, device, worker_num, batch_size, compiler_config, compiler_hints)
