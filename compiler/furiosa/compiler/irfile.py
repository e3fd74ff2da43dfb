"""IR files: a layer's text with the bytes of its constants behind it. Any layer can be written and be a SOURCE again.

The first line is ``furiosa-ir dfg 1 <bytes of constants> <their sha256>``; then come the head,
``graph GraphHead(...)``, and the ops, ``%0 = input() : f32[1,3,224,224] Rest(...)``.
"""

from __future__ import annotations

import warnings
from typing import Any

from furiosa.compiler.cdfg import Clusters, cluster
from furiosa.compiler.graph import Graph
from furiosa.isa.errors import ModelError

MAGIC = b"furiosa-ir "
VERSION = "1"
GRAPH_LAYERS = ("dfg", "ldfg", "cdfg")
LAYERS = (*GRAPH_LAYERS, "gir", "lir")


def dump(layer: str, value: Any) -> bytes:
    """The file of a model in this layer."""
    body, data = printed(value)
    head = f"furiosa-ir {layer} {VERSION} {len(data)} {_digest(data)}\n"
    return head.encode() + body.encode() + data


def _digest(data: bytes) -> str:
    import hashlib  # loads a library of cryptography, which only who reads or writes layers wants

    return hashlib.sha256(data).hexdigest()


def printed(value: Any) -> tuple[str, bytes]:
    """The text of a model in any layer, and the bytes beside it; the CDFG names its clusters in comments."""
    from furiosa.compiler import text  # only who wants text pays for its import

    if isinstance(value, Clusters):
        body, data = text.print_graph(value.graph)
        names = [f"# {c.name}: {len(c.ops)} ops" for c in value.clusters]
        return "\n".join([*names, body]), data
    return text.print_graph(value) if isinstance(value, Graph) else text.print_module(value)


def layer_of(data: bytes) -> str | None:
    """The layer of an IR file's bytes; None for another kind of file."""
    if not data.startswith(MAGIC):
        return None
    return data[len(MAGIC) :].split(b" ", 1)[0][:8].decode(errors="replace")


def load(data: bytes, where: str) -> Any:
    """The model in an IR file. Raises ModelError naming what is damaged, and the line."""
    again = "write it again with `furiosa-compiler --target-ir`"
    line, _, rest = data.partition(b"\n")
    try:
        _, layer, version, size, digest = line.decode().split(" ")
        count = int(size)
    except ValueError:
        raise ModelError("the IR file has a damaged first line", where=where, hint=again) from None
    if version != VERSION or layer not in LAYERS:
        raise ModelError(f"IR `{layer}` of version {version} cannot be read", where=where, hint=again)
    blob = rest[len(rest) - count :] if 0 <= count <= len(rest) else b""
    if len(blob) != count or _digest(blob) != digest:
        raise ModelError("the constants of the IR file are damaged or cut off", where=where, hint=again)
    try:
        body = rest[: len(rest) - count].decode()
    except UnicodeDecodeError:
        raise ModelError("the text of the IR file is damaged", where=where, hint=again) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # Python's, about words like `1x0`
            return _parsed(layer, "\n" + body, blob)  # so that lines count from the file's first
    except ModelError as error:
        place = f"{where}, {error.where}" if error.where else where
        raise ModelError(error.message, where=place, hint=error.hint) from None


def _parsed(layer: str, body: str, blob: bytes) -> Any:
    from furiosa.compiler import text

    if layer not in GRAPH_LAYERS:
        return text.parse_module(body, blob, layer)
    graph = text.parse_graph(body, blob)
    return cluster(graph) if layer == "cdfg" else graph
