"""Sessions of the legacy API: the current runner and queue, with their model's members, other errors and units."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from numpy.typing import NDArray

from furiosa.isa.errors import FuriosaError, did_you_mean
from furiosa.runtime import sync
from furiosa.runtime.arguments import Tensor, input_arrays, is_array, named_arrays, output_indices
from furiosa.runtime.arguments import TensorArray as Inputs
from furiosa.runtime.compilation import ModelSource
from furiosa.runtime.deprecated import compile_log
from furiosa.runtime.deprecated.errors import (
    CodedError,
    CompilationFailed,
    InvalidCompilerConfig,
    InvalidInput,
    InvalidSessionOption,
    QueueWaitTimeout,
    SessionClosed,
    SessionTerminated,
    TensorNameNotFound,
    UnsupportedTensorType,
    legacy_error,
)
from furiosa.runtime.deprecated.tensors import TensorArray
from furiosa.runtime.engine import Devices, Engine, check_size
from furiosa.runtime.failures import ClosedError, DrainedError
from furiosa.runtime.interface import Model, TensorDesc

P = ParamSpec("P")
R = TypeVar("R")


class _Described:
    """What sessions and queues share: their model's members, and how they are closed. After that all raise
    SessionClosed.
    """

    def __init__(self, inner: sync.Runner | sync.Submitter | sync.Receiver) -> None:
        self._inner = inner

    @property
    def model(self) -> Model:
        """The model's interface."""
        try:
            return self._inner.model
        except ClosedError:
            raise SessionClosed from None

    @property
    def input_num(self) -> int:
        """Number of inputs."""
        return self.model.input_num

    @property
    def output_num(self) -> int:
        """Number of outputs."""
        return self.model.output_num

    def inputs(self) -> list[TensorDesc]:
        """Descriptions of all inputs."""
        return self.model.inputs()

    def outputs(self) -> list[TensorDesc]:
        """Descriptions of all outputs."""
        return self.model.outputs()

    def input(self, index: int) -> TensorDesc:
        """The description of one input. Raises IndexError."""
        return self.model.input(index)

    def output(self, index: int) -> TensorDesc:
        """The description of one output. Raises IndexError."""
        return self.model.output(index)

    def summary(self) -> str:
        """All inputs and outputs as text."""
        return self.model.summary()

    def print_summary(self) -> None:
        """Write ``summary()`` to standard error."""
        sys.stderr.write(self.summary() + "\n")

    def allocate_inputs(self) -> TensorArray:
        """Fresh tensors for all inputs."""
        return TensorArray.zeros(self.inputs())

    def allocate_outputs(self) -> TensorArray:
        """Fresh tensors for all outputs."""
        return TensorArray.zeros(self.outputs())

    def allocate_tensors(self, names: Sequence[str]) -> TensorArray:
        """Fresh tensors for inputs or outputs by name. Raises TensorNameNotFound."""
        descs = {desc.name: desc for desc in (*self.inputs(), *self.outputs())}
        _check_names(names, descs)
        return TensorArray.zeros([descs[name] for name in names])

    create_inputs = allocate_inputs
    create_outputs = allocate_outputs
    create_tensors = allocate_tensors

    def close(self) -> None:
        """Give up; closing twice is harmless."""
        self._inner.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Session(_Described):
    """A loaded model."""

    def __init__(
        self,
        model: ModelSource,
        device: str | None = None,
        worker_num: int | None = None,
        batch_size: int | None = None,
        compiler_config: Mapping[str, object] | None = None,
        compiler_hints: bool = True,
    ) -> None:
        """Open devices and load a model (a path or bytes: ENF, ONNX or TFLite).

        ``compiler_hints`` writes to standard error why operators are on the CPU. Raises DeviceBusy, CompilationFailed,
        IncompatibleModel, InvalidSessionOption or InvalidCompilerConfig.
        """
        engine = _engine(model, device, worker_num, batch_size, compiler_config, compiler_hints)
        self._runner = sync.Runner(engine)
        super().__init__(self._runner)

    def run(self, inputs: Inputs) -> TensorArray:
        """One inference. Raises InvalidInput, UnsupportedTensorType or SessionClosed."""
        model = self.model
        return TensorArray.of(self._runner.run(_arrays(model, inputs)), model.outputs())

    def run_with(self, outputs: Sequence[str], inputs: Mapping[str, Tensor]) -> TensorArray:
        """One inference with tensors by name. Raises as ``run``, TensorNameNotFound, TypeError for no list of names."""
        model = self.model
        if not isinstance(outputs, str) and outputs is not None:
            _check_names(outputs, [desc.name for desc in model.outputs()])
        indices = output_indices(model, outputs)
        if isinstance(inputs, Mapping):
            _check_names(inputs, [desc.name for desc in model.inputs()])
        results = self._runner.run(_valid(lambda: named_arrays(model, inputs)))
        return TensorArray.of([results[index] for index in indices], [model.output(index) for index in indices])

    def __enter__(self) -> Session:
        return self


class AsyncSession(_Described):
    """The end of a queue where inferences are submitted."""

    def __init__(self, submitter: sync.Submitter) -> None:
        super().__init__(submitter)
        self._submitter = submitter

    def submit(self, inputs: Inputs, context: object = None) -> None:
        """Submit one inference; ``context`` comes back with its result. Only tensors of a TensorArray are not copied.

        Raises InvalidInput, UnsupportedTensorType or SessionClosed.
        """
        arrays = _arrays(self.model, inputs)
        if not isinstance(inputs, TensorArray):
            arrays = [array.copy() for array in arrays]
        try:
            self._submitter.submit(arrays, context)
        except ClosedError:
            raise SessionClosed from None

    def __enter__(self) -> AsyncSession:
        return self


class CompletionQueue(_Described):
    """The end of a queue where results are received; iterable."""

    def __init__(self, receiver: sync.Receiver) -> None:
        super().__init__(receiver)
        self._receiver = receiver

    def recv(self, timeout: int | None = None) -> tuple[Any, TensorArray]:
        """The context and the outputs of the next inference; ``timeout`` is in milliseconds.

        Raises QueueWaitTimeout, SessionTerminated when there will be no more results, SessionClosed, and RuntimeError
        for a negative timeout.
        """
        if timeout is not None and timeout < 0:
            raise RuntimeError("the timeout duration must be a positive integer")
        try:
            context, outputs = self._receiver.recv(None if timeout is None else timeout / 1000)
            return context, TensorArray.of(outputs, self._receiver.model.outputs())
        except TimeoutError:
            raise QueueWaitTimeout from None
        except DrainedError:
            raise SessionTerminated from None
        except ClosedError:
            raise SessionClosed from None

    def __iter__(self) -> CompletionQueue:
        return self

    def __next__(self) -> tuple[Any, TensorArray]:
        try:
            return self.recv()
        except (SessionTerminated, SessionClosed):
            raise StopIteration from None

    def __enter__(self) -> CompletionQueue:
        return self


def _keyword_options(function: Callable[P, R]) -> Callable[P, R]:
    """A function that takes a model, and options of which those that are given by position are a FutureWarning."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if len(args) > 1:
            text = f"{function.__name__}() will take its options by keyword only in a future release."
            warnings.warn(text, FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    return call


@_keyword_options
def create(
    model: ModelSource,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    compiler_config: Mapping[str, object] | None = None,
    compiler_hints: bool = True,
) -> Session:
    """A session for a model. Raises as ``Session``."""
    return Session(model, device, worker_num, batch_size, compiler_config, compiler_hints)


@_keyword_options
def create_async(
    model: ModelSource,
    context_ty: type | None = None,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    compiler_hints: bool = True,
    input_queue_size: int | None = None,
    output_queue_size: int | None = None,
    compiler_config: Mapping[str, object] | None = None,
) -> tuple[AsyncSession, CompletionQueue]:
    """Both ends of a queue for a model; ``context_ty`` has no effect. Raises as ``Session``."""
    with _legacy_errors():
        for name, size in (("input_queue_size", input_queue_size), ("output_queue_size", output_queue_size)):
            check_size(name, size)
    engine = _engine(model, device, worker_num, batch_size, compiler_config, compiler_hints)
    submitter, receiver = sync.queue_pair(engine, input_queue_size, output_queue_size)
    return AsyncSession(submitter), CompletionQueue(receiver)


def _engine(
    model: ModelSource,
    device: str | None,
    worker_num: int | None,
    batch_size: int | None,
    compiler_config: Mapping[str, object] | None,
    compiler_hints: bool,
) -> Engine:
    """An engine on devices of its own, with a compile log. Raises the errors of the legacy API."""
    with _legacy_errors():
        check_size("worker_num", worker_num)
        check_size("batch_size", batch_size)
        devices = Devices(device)
    log = compile_log.start()
    try:
        with _legacy_errors(InvalidCompilerConfig if compiler_config else InvalidSessionOption):
            engine = Engine(model, devices, worker_num, batch_size, compiler_config)
    except BaseException as error:
        devices.free()
        if isinstance(error, CompilationFailed):
            compile_log.fail(log)
        raise
    compile_log.finish(engine.enf, log, compiler_hints)
    return engine


@contextmanager
def _legacy_errors(option: type[CodedError] = InvalidSessionOption) -> Iterator[None]:
    """Whatever is objected to inside leaves as an error of the legacy API; a wrong option as ``option``."""
    try:
        yield
    except FuriosaError as error:
        raise legacy_error(error, option) from error


def _arrays(model: Model, inputs: Inputs) -> list[NDArray[Any]]:
    tensors = [inputs] if is_array(inputs) else inputs
    if not isinstance(tensors, list | tuple) or not all(is_array(tensor) for tensor in tensors):
        raise UnsupportedTensorType
    return _valid(lambda: input_arrays(model, tensors))


def _valid(arrays: Callable[[], list[NDArray[Any]]]) -> list[NDArray[Any]]:
    try:
        return arrays()
    except (TypeError, ValueError) as error:
        raise InvalidInput(str(error)) from None


def _check_names(names: Iterable[str], known: Collection[str | None]) -> None:
    for name in names:
        if name not in known:
            near = did_you_mean(name, [each for each in known if each])
            raise TensorNameNotFound(f"{TensorNameNotFound.text}: `{name}`" + (f", {near}" if near else ""))
