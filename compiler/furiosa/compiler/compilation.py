"""Compile a model: any source that the compiler knows, to any layer, or take the result of an earlier compilation.

The compiler itself is imported when something has to be compiled.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from furiosa.isa import env
from furiosa.isa.errors import ModelError, OptionError
from furiosa.isa.target import DEFAULT
from furiosa.isa.target import target as find_target

TARGET_IRS = ("dfg", "ldfg", "cdfg", "gir", "lir", "enf")
_MOST_BATCHES = 2**31


@dataclass(frozen=True)
class Compiled:
    """A compiled model. ``data`` is the file of the layer asked for."""

    data: bytes = field(repr=False)
    _layers: Callable[[], dict[str, Any]] = field(repr=False)

    @property
    def enf(self) -> bytes:
        """The ENF file's bytes."""
        return self.data

    @cached_property
    def report(self) -> dict[str, Any]:
        """What runs where, work, memory and modelled time; empty below the ENF."""
        from furiosa.isa import enf

        values: dict[str, Any] = json.loads(enf.load(self.data).report) if enf.is_enf(self.data) else {}
        return values

    @cached_property
    def layers(self) -> dict[str, Any]:
        """The model in every layer on the way, by name. A result from the cache is compiled again for them."""
        return self._layers()


def compile_model(
    model: str | os.PathLike[str] | bytes,
    target: str = DEFAULT,
    batch_size: int = 1,
    config: Mapping[str, object] | None = None,
    progress: Callable[[str], None] | None = None,
    target_ir: str = "enf",
    cache_enabled: bool = True,
) -> Compiled:
    """Compile a model, given as a path or as bytes: ONNX, or an IR file of any layer (recognised by content).

    ``config`` is the compiler_config, by default that of the file which NPU_COMPILER_CONFIG_PATH names.
    ``target`` is ``warboy`` (one PE) or ``warboy-2pe``; ``batch_size`` multiplies the first axis of every input of a
    model; ``progress`` gets text as it is to be shown. The same model and options give the same bytes: they are taken
    from the compiler's cache, unless ``cache_enabled`` is false or FC_CACHE_ENABLED is 0.

    Raises ModelError for a damaged model, UnsupportedError for one that cannot be handled, OptionError for options.
    """
    if target != DEFAULT:  # the table of targets takes 4 ms to read, which counts when the result is in the cache
        target = find_target(target).name
    if not 0 < batch_size < _MOST_BATCHES:
        raise OptionError(f"the batch size must be at least 1 and below 2**31, not {batch_size}",
                          hint="give a batch size of 1 or more")  # fmt: skip
    if target_ir not in TARGET_IRS:
        raise OptionError(f"unknown target IR `{target_ir}`", hint=f"the target IRs are {', '.join(TARGET_IRS)}")
    options = compiler_options(config)
    source, where, folder = _source(model)

    def translated() -> tuple[bytes, dict[str, Any], bytes]:
        from furiosa.compiler.config import INTERFACE
        from furiosa.compiler.effort import effort_of
        from furiosa.compiler.pipeline import Source
        from furiosa.compiler.translation import translate

        show = progress or (lambda _: None)
        start = time.perf_counter()
        data = source if isinstance(source, bytes) else _read(source)
        settled: dict[str, Any] = {name: options[name] for name in INTERFACE if name in options}
        asked = Source(data, where, batch_size, folder, **settled)
        result, layers = translate(asked, find_target(target), target_ir, show, effort_of(options))
        show(f"✨  Finished in {time.perf_counter() - start:.9g}s\n")
        return result, layers, data

    # FURIOSA_DUMP wants to see every pass.
    if not cache_enabled or not env.CACHE_ENABLED.get() or env.DUMP.get() is not None:
        result, layers, _ = translated()
        return Compiled(result, lambda: layers)

    from furiosa.compiler.cache import Cache, Question

    cache = Cache()
    question = Question(source, folder, Path(where).name, target, batch_size, target_ir, options)
    found = cache.find(question)
    if found is not None:
        return Compiled(found, lambda: translated()[1])
    start = time.perf_counter()
    result, layers, data = translated()
    cache.keep(replace(question, model=data), result, time.perf_counter() - start)
    return Compiled(result, lambda: layers)


def compiler_options(config: Mapping[str, object] | None) -> Mapping[str, object]:
    """The compiler_config of this compilation, checked."""
    path = env.COMPILER_CONFIG.get() if config is None else None
    if not config and path is None:
        return {}
    from furiosa.compiler.config import check_config, read_config

    options = config or (read_config(path) if path is not None else {})
    check_config(options)
    return options


def _source(model: str | os.PathLike[str] | bytes) -> tuple[bytes | Path, str, Path | None]:
    """A model's bytes, or its file when that can be read more than once; what to call it in errors; its folder."""
    if isinstance(model, bytes):
        return model, "the given bytes", None
    path = Path(os.fspath(model))
    return path if os.path.isfile(path) else _read(path), str(path), path.parent


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model `{path}`: {error.strerror}",
                         hint="check the path and its permissions") from None  # fmt: skip
