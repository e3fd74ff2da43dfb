"""Models as services keep them: named, loaded and unloaded while the program runs."""

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
