"""Rewrites of float models that make them fit the NPU better and change no result."""

from furiosa.isa.version import version_info
from furiosa.optimizer.optimize import optimize_model

__all__ = ["optimize_model"]

__version__ = version_info()
