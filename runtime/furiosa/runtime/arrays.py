"""Output tensors of the legacy session: arrays with the members that SDK scripts call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Tensor(np.ndarray[Any, np.dtype[Any]]):
    """An ndarray that also answers ``numpy()`` and ``view()``."""

    def numpy(self) -> NDArray[Any]:
        """The values as a contiguous copy."""
        return np.array(self, order="C", subok=False)

    def view(self, *args: Any, **kwargs: Any) -> Any:
        """Without arguments: the same memory as a plain ndarray; otherwise as ``ndarray.view``."""
        return super().view(*args, **kwargs) if args or kwargs else super().view(np.ndarray)


class TensorArray(list[Tensor]):
    """The tensors of one inference."""

    @classmethod
    def of(cls, arrays: Iterable[NDArray[Any]]) -> TensorArray:
        return cls(array.view(Tensor) for array in arrays)

    def is_empty(self) -> bool:
        return not self

    def numpy(self) -> list[NDArray[Any]]:
        """Contiguous copies of all values."""
        return [tensor.numpy() for tensor in self]

    def view(self) -> list[NDArray[Any]]:
        """The same memory as plain ndarrays."""
        return [tensor.view() for tensor in self]
