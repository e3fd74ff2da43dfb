"""Running models on NPUs: the asynchronous API; ``furiosa.runtime.sync`` is the synchronous one."""

from furiosa.isa.version import built, version_info
from furiosa.runtime.arguments import Tensor, TensorArray
from furiosa.runtime.asynchronous import Runner, Runtime, create_runner
from furiosa.runtime.compilation import ModelSource
from furiosa.runtime.failures import FuriosaRuntimeError, FuriosaRuntimeWarning
from furiosa.runtime.interface import Axis, DataType, Model, TensorDesc

__all__ = [
    "Axis", "DataType", "FuriosaRuntimeError", "FuriosaRuntimeWarning", "Model", "ModelSource", "Runner", "Runtime",
    "Tensor", "TensorArray", "TensorDesc", "__full_version__", "__version__", "create_runner", "full_version",
    "is_legacy",
]  # fmt: skip

is_legacy = False
__version__ = version_info()


def full_version() -> str:
    """The version of the runtime and of its engine, as SDK tools parse it."""
    version, rev = __version__.version, __version__.hash[:9]
    return (
        f"Furiosa SDK Runtime {version}-{__version__.stage} (rev: {rev}) "
        f"(furiosa-rt {version} {rev} {built() or 'unknown'})"
    )


__full_version__ = full_version()
