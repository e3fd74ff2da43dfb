"""Deprecated module ``furiosa.runtime.tensor``: tensors, their descriptions and types."""

from typing import TYPE_CHECKING

from furiosa.runtime import interface
from furiosa.runtime.deprecated import tensors
from furiosa.runtime.deprecation import deprecated_names

if TYPE_CHECKING:
    from furiosa.runtime.deprecated.tensors import Tensor as Tensor
    from furiosa.runtime.deprecated.tensors import TensorArray as TensorArray
    from furiosa.runtime.deprecated.tensors import numpy_dtype as numpy_dtype
    from furiosa.runtime.deprecated.tensors import rand as rand
    from furiosa.runtime.deprecated.tensors import zeros as zeros
    from furiosa.runtime.interface import Axis as Axis
    from furiosa.runtime.interface import DataType as DataType
    from furiosa.runtime.interface import TensorDesc as TensorDesc

__all__ = ["Axis", "DataType", "Tensor", "TensorArray", "TensorDesc", "numpy_dtype", "rand", "zeros"]

_NAMES = vars(interface) | vars(tensors)

__getattr__ = deprecated_names(__name__, {name: _NAMES[name] for name in __all__})
