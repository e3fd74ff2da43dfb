"""Models of any kind to compiled files: the only module of the runtime that calls the compiler."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import SupportsBytes, TypeAlias

from furiosa.isa import enf
from furiosa.isa import target as targets
from furiosa.isa.errors import EnfError, ModelError, OptionError
from furiosa.runtime.profiler.recorder import span

ModelSource: TypeAlias = "str | PathLike[str] | bytes | bytearray | SupportsBytes"


def load_or_compile(
    model: ModelSource, target: str, batch_size: int | None, config: Mapping[str, object] | None
) -> enf.Enf:
    """The compiled form of a model for ``target``: read from an ENF file or bytes, or compiled from another format.

    Raises ModelError, UnsupportedError, OptionError or EnfError; an ENF made for another target or batch size is an
    EnfError or OptionError, never recompiled.
    """
    source = _source(model)
    head, where = _head(source)
    if enf.is_enf(head):
        compiled = enf.load(source if isinstance(source, bytes) else source.read_bytes(), where=where)
        _check_target(compiled, target, where)
        _check_options(compiled, batch_size, config, where)
        return compiled
    with span("Compile", target=target):
        from furiosa.compiler import compile_model

        result = compile_model(source, target=target, batch_size=batch_size or 1, config=config)
        return enf.load(result.enf, where=where)


def _source(model: ModelSource) -> bytes | Path:
    if isinstance(model, str | PathLike):
        return Path(fspath(model))
    if isinstance(model, bytes | bytearray) or hasattr(model, "__bytes__"):
        return bytes(model)
    raise ModelError(f"a model is given as a path or as bytes, not as {type(model).__name__}")


def _head(source: bytes | Path) -> tuple[bytes, str | None]:
    """The first bytes of a model and its path."""
    if isinstance(source, bytes):
        return source[:16], None
    try:
        with source.open("rb") as file:
            return file.read(16), str(source)
    except OSError as error:
        raise ModelError(
            f"cannot read the model `{source}`: {error.strerror}", hint="check the path and its permissions"
        ) from None


def _check_target(compiled: enf.Enf, target: str, where: str | None) -> None:
    if compiled.target != target:
        raise EnfError(
            f"the model is compiled for `{compiled.target}`, the opened device is a `{target}`",
            where=where,
            hint=f"open a `warboy({targets.target(compiled.target).pes})*1` device, "
            f"or compile with `furiosa-compiler --target-npu {target}`",
        )


def _check_options(
    compiled: enf.Enf, batch_size: int | None, config: Mapping[str, object] | None, where: str | None
) -> None:
    if batch_size is not None and batch_size != compiled.batch_size:
        raise OptionError(
            f"the model is compiled for batch size {compiled.batch_size}, not {batch_size}",
            where=where,
            hint=f"compile with `furiosa-compiler --batch-size {batch_size}`",
        )
    if config:
        raise OptionError("a compiler config cannot change a model that is compiled already", where=where)
