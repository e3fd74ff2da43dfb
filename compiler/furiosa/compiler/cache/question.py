"""What a compiled model depends on, as one key: the model's content, the options, and the compiler itself."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from furiosa.compiler.cache.external import LOCATION, external_files
from furiosa.isa import errors

_COMPILER = (str(Path(__file__).parents[1]), os.path.dirname(errors.__file__))
_LIBRARIES = ("numpy", "onnx", "onnxruntime")
_CHUNK = 2**18


@dataclass(frozen=True)
class Question:
    """One compilation that is asked for: the model, as bytes or as a file, its folder, and every option.

    ``name`` is what the model is called in listings; the result does not depend on it.
    """

    model: bytes | Path
    folder: Path | None
    name: str
    target: str
    batch_size: int
    target_ir: str
    config: Mapping[str, object]

    def key(self) -> str:
        """64 hexadecimal digits, equal for equal results.

        Raises ValueError or OSError for a damaged model, and for a file that it names and that cannot be read.
        """
        if isinstance(self.model, bytes):
            content, names = hashlib.sha256(self.model).hexdigest(), external_files(self.model)
        else:
            content, found = _hash(self.model, LOCATION)
            names = external_files(self.model.read_bytes()) if found else frozenset()
        folder = self.folder
        # A model that is no file and names files is refused.
        files = {} if folder is None else {name: _hash_if_there(folder / name) for name in names}
        parts = {
            "compiler": compiler_hash(),
            "model": content,
            "files": files,
            "target": self.target,
            "batch_size": self.batch_size,
            "target_ir": self.target_ir,
            "config": self.config,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()


@cache
def compiler_hash() -> str:
    """The hash of the compiler's source files, and of the versions of the libraries that it computes with."""
    digest = hashlib.sha256()
    for root in _COMPILER:
        for path in sorted(_sources(root)):
            with open(path, "rb", buffering=0) as file:
                digest.update(b"%s\0%s\0" % (path[len(root) :].encode(), file.read()))
    digest.update("\n".join(sorted(_versions())).encode())
    return digest.hexdigest()


def _sources(root: str) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        yield from (os.path.join(folder, name) for name in names if name.endswith((".py", ".toml")))


def _versions() -> Iterator[str]:
    """The folders that installers put beside a package, such as `onnx-1.18.0.dist-info`.

    importlib.metadata would take 20 ms to say the same.
    """
    for library in _LIBRARIES:
        spec = find_spec(library)
        if spec is not None and spec.origin is not None:
            beside = os.listdir(Path(spec.origin).parents[1])
            yield from (name for name in beside if name.startswith(library) and name.endswith("-info"))


def _hash_if_there(path: Path) -> str | None:
    try:
        return _hash(path, b"")[0]
    except FileNotFoundError:
        return None


def _hash(path: Path, word: bytes) -> tuple[str, bool]:
    """The hash of a file's content, and whether a word is in it.

    In pieces, as reading, hashing and searching 26 MB as one takes 38 ms, and so 29 ms. Raises ValueError for anything
    but a regular file.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:  # a pipe waits for its writer
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"`{path}` is no regular file")
        digest, found, piece = hashlib.sha256(), False, bytearray(_CHUNK + len(word))
        overlap = memoryview(piece)
        while size := file.readinto(overlap[len(word) :]):
            end = len(word) + size
            digest.update(overlap[len(word) : end])
            found = found or piece.find(word, 0, end) >= 0
            piece[: len(word)] = piece[end - len(word) : end]
    return digest.hexdigest(), found
