"""Models as services keep them: named, loaded and unloaded while the program runs."""

from furiosa.isa.version import version_info
from furiosa.server.model import (
    FuriosaRTModel,
    FuriosaRTModelConfig,
    Model,
    ModelConfig,
    ModelServerError,
    NPUModel,
    NPUModelConfig,
)

__all__ = [
    "FuriosaRTModel",
    "FuriosaRTModelConfig",
    "Model",
    "ModelConfig",
    "ModelServerError",
    "NPUModel",
    "NPUModelConfig",
]

__version__ = version_info()
