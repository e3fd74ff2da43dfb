"""Errors of the legacy API, with the codes of its native engine."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

from furiosa.isa.errors import (
    DeviceBusyError,
    EnfError,
    ExitStatus,
    FuriosaError,
    ModelError,
    OptionError,
    UnsupportedError,
)
from furiosa.runtime.failures import FuriosaRuntimeError, runtime_error


class NativeError(IntEnum):
    """The codes."""

    SUCCESS = 0
    NUX_CREATION_FAILED = 1
    MODEL_DEPLOY_FAILED = 2
    MODEL_EXECUTION_FAILED = 3
    INVALID_INPUT_INDEX = 4
    INVALID_OUTPUT_INDEX = 5
    INVALID_BUFFER = 6
    INVALID_INPUTS = 7
    INVALID_OUTPUTS = 8
    GET_TASK_FAILED = 9
    DUMP_PROFILE_FAILED = 10
    QUEUE_WAIT_TIMEOUT = 11
    QUEUE_NO_DATA = 12
    INCOMPATIBLE_MODEL = 13
    COMPILATION_FAILED = 14
    INTERNAL_ERROR = 15
    INVALID_YAML = 16
    INCOMPATIBLE_API_CLIENT_ERROR = 17
    API_CLIENT_INIT_FAILED = 18
    NO_API_KEY = 19
    NULL_POINTER_EXCEPTION = 20
    INVALID_SESSION_OPTIONS = 21
    SESSION_TERMINATED = 22
    DEVICE_BUSY = 23
    TENSOR_NAME_NOT_FOUND = 24
    UNSUPPORTED_FEATURE = 25
    INVALID_COMPILER_CONFIG = 30


class CodedError(FuriosaRuntimeError):
    """An error with a code; without ``message`` it says what the code means."""

    code: ClassVar[NativeError]
    text: ClassVar[str]

    def __init__(self, message: str | None = None, *, where: str | None = None, hint: str | None = None) -> None:
        status = ExitStatus.DEVICE if self.code is NativeError.DEVICE_BUSY else ExitStatus.USAGE
        super().__init__(message or self.text, where=where, hint=hint, exit_status=status)

    def __str__(self) -> str:
        return f"{self.message} (native error code: {self.code.value})"

    __repr__ = __str__

    def native_error(self) -> NativeError:
        """The code."""
        return self.code


class IncompatibleModel(CodedError):
    """A compiled file is damaged, or compiled for another device."""

    code, text = NativeError.INCOMPATIBLE_MODEL, "model binary is not compatible"


class CompilationFailed(CodedError):
    """A model cannot be compiled."""

    code, text = NativeError.COMPILATION_FAILED, "fail to compile a given model to NPU binary"


class InternalError(CodedError):
    """A fault of the engine itself."""

    code, text = NativeError.INTERNAL_ERROR, "unknown"

    def __init__(self, cause: str = "unknown") -> None:
        super().__init__(cause)


class UnsupportedTensorType(CodedError):
    """An input is no array."""

    code, text = NativeError.INVALID_INPUTS, "numpy.ndarray, TensorArray are only supported"


class UnsupportedDataType(FuriosaRuntimeError):
    """An element type that the engine does not know."""

    def __init__(self, dtype: object) -> None:
        super().__init__(f"unknown data type: {dtype}")


class IncompatibleApiClientError(CodedError):
    """Of a service that no longer exists; never raised."""

    code, text = NativeError.INCOMPATIBLE_API_CLIENT_ERROR, "incompatible client with Furiosa API server"


class InvalidYamlException(CodedError):
    """A compiler config in a file cannot be read."""

    code, text = NativeError.INVALID_YAML, "compiler config is not valid YAML"


class ApiClientInitFailed(CodedError):
    """Of a service that no longer exists; never raised."""

    code, text = NativeError.API_CLIENT_INIT_FAILED, "fail to initialize API client"


class NoApiKeyException(CodedError):
    """Of a service that no longer exists; never raised."""

    code, text = NativeError.NO_API_KEY, "no API keys. Please check your API keys."


class InvalidSessionOption(CodedError):
    """An option of a session is wrong."""

    code = NativeError.INVALID_SESSION_OPTIONS
    text = "invalid options passed to session.create() or create_async()"


class QueueWaitTimeout(CodedError):
    """No result came in time."""

    code, text = NativeError.QUEUE_WAIT_TIMEOUT, "queue waiting timed out"


class SessionTerminated(CodedError):
    """No result will come any more: the session is closed, and all results have been received."""

    code, text = NativeError.SESSION_TERMINATED, "Session or AsyncSession terminated"


class DeviceBusy(CodedError):
    """A device is in use."""

    code, text = NativeError.DEVICE_BUSY, "NPU device busy"


class InvalidInput(FuriosaRuntimeError):
    """Inputs have the wrong number, shape or element type."""

    def __init__(self, message: str = "Invalid input tensors") -> None:
        super().__init__(message)


class TensorNameNotFound(CodedError):
    """The model has no tensor of that name."""

    code, text = NativeError.TENSOR_NAME_NOT_FOUND, "Tensor name not found"


class UnsupportedFeature(CodedError):
    """The engine cannot do this."""

    code, text = NativeError.UNSUPPORTED_FEATURE, "Unsupported feature"


class InvalidCompilerConfig(CodedError):
    """An option of the compiler is wrong."""

    code, text = NativeError.INVALID_COMPILER_CONFIG, "Invalid compiler config"


class SessionClosed(FuriosaRuntimeError):
    """A session or queue was used after it was closed."""

    def __init__(self) -> None:
        super().__init__("Session or AsyncSession is already closed. Please create a new session.")


_CODED = {kind.code: kind for kind in CodedError.__subclasses__()}
_KINDS: dict[type[FuriosaError], type[CodedError]] = {
    DeviceBusyError: DeviceBusy, EnfError: IncompatibleModel, ModelError: CompilationFailed,
    UnsupportedError: CompilationFailed,
}  # fmt: skip


def into_exception(err: NativeError | int) -> FuriosaRuntimeError:
    """An error with this code; InternalError for a code that has no class of its own."""
    try:
        return _CODED[NativeError(err)]()
    except (KeyError, ValueError):
        return InternalError(f"error code {int(err)}")


def legacy_error(error: FuriosaError, option: type[CodedError]) -> FuriosaRuntimeError:
    """What the legacy API raises where the current one raises ``error``, with the same message.

    ``option`` is what it raises for a wrong option. What it had no class for stays a FuriosaRuntimeError.
    """
    cause = error.__cause__ if isinstance(error, FuriosaRuntimeError) else error
    kinds = _KINDS | {OptionError: option}
    kind = next((kind for reason, kind in kinds.items() if isinstance(cause, reason)), None)
    return runtime_error(error) if kind is None else kind(error.message, where=error.where, hint=error.hint)
