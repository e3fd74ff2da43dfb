"""Running models on NPUs: the asynchronous API; ``furiosa.runtime.sync`` is the synchronous one."""

from importlib import import_module
from types import ModuleType

from furiosa.isa.version import native_version, version_info
from furiosa.runtime.arguments import Tensor, TensorArray
from furiosa.runtime.asynchronous import Receiver, Runner, Runtime, Submitter, create_queue, create_runner
from furiosa.runtime.compilation import ModelSource
from furiosa.runtime.failures import FuriosaRuntimeError, FuriosaRuntimeWarning
from furiosa.runtime.interface import Axis, DataType, Model, TensorDesc

__all__ = [
    "Axis", "DataType", "FuriosaRuntimeError", "FuriosaRuntimeWarning", "Model", "ModelSource", "Receiver", "Runner",
    "Runtime", "Submitter", "Tensor", "TensorArray", "TensorDesc", "__full_version__", "__version__", "create_queue",
    "create_runner", "full_version", "is_legacy",
]  # fmt: skip

is_legacy = False
__version__ = version_info()


def full_version() -> str:
    """The version of the runtime and of its engine, as SDK tools parse it."""
    return f"Furiosa SDK Runtime {__version__} (furiosa-rt {native_version()})"


__full_version__ = full_version()

_MODULES = {
    name: name
    for name in ("bench", "compiler", "consts", "envs", "errors", "model", "profiler", "session", "tensor", "_utils")
} | {"utils": "_utils"}


def __getattr__(name: str) -> ModuleType:
    """The modules of this package, for programs that import only the package."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{_MODULES[name]}")
