"""Calibration: a float model runs on samples of real data, and each of its tensors gets the range of its values."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from furiosa.isa.errors import ModelError, OptionError
from furiosa.quantizer.histogram import Histogram
from furiosa.quantizer.observation import Observation, threads
from furiosa.quantizer.ranges import CalibrationMethod, Range, find_range
from furiosa.quantizer.samples import Array, Feed, checked

__all__ = ["CalibrationMethod", "Calibrator"]

Floats = NDArray[np.float32]
_Seen = tuple[Floats, float, float]


class NotCollectedError(OptionError, RuntimeError):
    """There are no data to compute ranges from."""


class Calibrator:
    """Collects the values that the tensors of a float model take, and computes a range for each of them.

    Memory does not grow with the number of samples: of each tensor the extremes are kept and, unless the method is
    min-max, a histogram of fixed size. Ranges depend neither on the order of the samples nor on how they are split
    over calls.
    """

    def __init__(
        self,
        model: ModelProto | bytes,
        calibration_method: CalibrationMethod,
        *,
        percentage: float = 99.99,
    ) -> None:
        """``percentage`` is how much of the values the ranges of the percentile methods hold, above 0 and up to 100.

        Raises OptionError for a method or percentage that is none, ModelError and UnsupportedError for a model that is
        damaged, quantized already, or of no use to ONNX Runtime.
        """
        try:
            self._method = CalibrationMethod(calibration_method)
        except ValueError:
            names = ", ".join(method.name for method in CalibrationMethod)
            raise OptionError(f"there is no calibration method {calibration_method!r}",
                              hint=f"use one of {names}, of `CalibrationMethod`") from None  # fmt: skip
        if not _is_percentage(percentage):
            raise OptionError(f"the percentage is {percentage!r}, and must be above 0 and at most 100",
                              hint="99.99 is the default: 0.01 % of the values are left out")  # fmt: skip
        self._percentage = percentage
        self._model = Observation(model)
        self._collected = False
        self._seen = {name: Histogram(counting=self._method.needs_histogram) for name in self._model.watched}

    def collect_data(self, dataset: Iterable[Sequence[Array]]) -> None:
        """Run the model on samples and take in the values of its tensors. May be called again and again.

        Each sample is a sequence with one array for each input of the model that is no initializer, in the order of
        the graph. Raises OptionError for a sample that does not fit the inputs or has NaN or Inf in it, and ModelError
        when the model fails on it or computes NaN. Such a sample leaves no trace; those before it count.
        """
        for _ in self._collect(dataset):
            pass

    def _collect_data_and_return_outputs(self, dataset: Iterable[Sequence[Array]]) -> list[list[Array]]:
        """As ``collect_data``; the outputs of the float model for each sample."""
        return [[copy(value) for value in outputs] for outputs in self._collect(dataset)]

    def compute_range(self, verbose: bool = False) -> dict[str, tuple[float, float]]:
        """The range (min, max) of every float32 tensor that depends on the data, by name.

        ``verbose`` shows progress on a terminal. Raises RuntimeError when no data have been collected, and OptionError
        when all inputs were constant, from which nothing follows.
        """
        if not self._collected:
            raise NotCollectedError("collect_data must be called before compute_range")
        self._check_inputs()
        names: Iterable[str] = self._model.sources
        if verbose and sys.stderr.isatty():
            names = _with_bar(list(names))
        ranges = {name: self._range(name) for name in names}
        return {name: found for name, found in ranges.items() if found is not None}

    def _check_inputs(self) -> None:
        """Raises OptionError when every input had but one value. One of several may: a mask, or a factor."""
        seen = {x.name: self._seen[x.name].distribution() for x in self._model.inputs if x.name in self._seen}
        values = {name: found.low for name, found in seen.items() if found and found.low == found.high}
        if values and len(values) == len(seen):
            name, value = next(iter(values.items()))
            raise OptionError(f"input `{name}` has the value {value:g} everywhere, in all samples",
                              hint="calibrate with samples of what the model will see")  # fmt: skip

    def _range(self, name: str) -> Range | None:
        """The range of a tensor; None when it never had a value."""
        source, rectified = self._model.sources[name]
        seen = self._seen[source].distribution()
        if seen is None:
            return None
        return find_range(self._method, seen.rectified() if rectified else seen, self._percentage)

    def _collect(self, dataset: Iterable[Sequence[Array]]) -> Iterator[list[Any]]:
        """Take in the samples one by one; the outputs of each."""
        with ThreadPoolExecutor(threads()) as pool:
            for index, feed in enumerate(checked(dataset, self._model.inputs)):
                yield self._take(feed, f"sample {index} of the dataset", pool)

    def _take(self, feed: Feed, where: str, pool: ThreadPoolExecutor) -> list[Any]:
        """Take in one sample; its outputs. All values are looked at before any is counted."""
        values = self._model.run(feed, where)
        finite = _in_parallel(pool, lambda name: _finite(values[name]), self._model.watched)
        for name, (_, low, _) in finite.items():
            if math.isnan(low):
                raise ModelError(f"the model computes NaN in tensor `{name}`",
                                 where=f"{where}, {self._model.place(name)}",
                                 hint="leave this sample out, or repair the preprocessing or the model")  # fmt: skip
        _in_parallel(pool, lambda name: self._seen[name].add(*finite[name]), self._model.watched)
        self._collected = True
        return [values[name] for name in self._model.outputs]


def _is_percentage(given: object) -> bool:
    return isinstance(given, (int, float)) and 0 < given <= 100


def _finite(values: Array) -> _Seen:
    """The finite values, flat, and their extremes, NaN if there is one. Infinite ones, as in masks, have no code."""
    flat = values.reshape(-1)
    if not flat.size:
        return flat, math.inf, -math.inf
    low, high = float(flat.min()), float(flat.max())
    return _finite(flat[np.isfinite(flat)]) if math.isinf(low) or math.isinf(high) else (flat, low, high)


def _in_parallel(pool: ThreadPoolExecutor, function: Callable[[str], Any], names: Sequence[str]) -> dict[str, Any]:
    """What the function gives for each name; every thread takes its share of neighbours, which are of similar size."""
    shares = [names[first :: threads()] for first in range(threads())]
    results = pool.map(lambda share: [(name, function(name)) for name in share], shares)
    found = dict(itertools.chain.from_iterable(results))
    return {name: found[name] for name in names}


def _with_bar(names: Sequence[str]) -> Iterator[str]:
    """The names, with a bar on stderr that grows."""
    for done, name in enumerate(names):
        sys.stderr.write(f"\rcomputing ranges [{'#' * (30 * done // len(names)):30}] {done}/{len(names)}")
        sys.stderr.flush()
        yield name
    sys.stderr.write("\r\033[K")
