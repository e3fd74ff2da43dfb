"""What `optimize_model` refuses: each error is of our family and of the builtin class that SDK programs catch."""

from __future__ import annotations

from furiosa.isa.errors import ModelError, OptionError, UnsupportedError


class ArgumentTypeError(OptionError, TypeError):
    """An argument is no ONNX model, or no mapping of shapes."""


class ArgumentError(OptionError, ValueError):
    """An argument has a value that cannot be: an opset, a shape, the name of an input."""


class InvalidModelError(ModelError, ValueError):
    """The model is damaged or contradicts the ONNX standard."""


class DynamicShapeError(ModelError, RuntimeError):
    """The shape of an input is not known."""


class ConversionError(UnsupportedError, NotImplementedError):
    """The model is valid, but an operator of it has no counterpart in the opset that was asked for."""
