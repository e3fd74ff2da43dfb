"""The files beside an ONNX model that hold weights, found without onnx, whose import takes longer than a cached result.

Only the wire format of protobuf and the few fields on the way to an external tensor are known here.
"""

from __future__ import annotations

from collections.abc import Iterator

# Message: field number: message in it. A TensorProto's external_data are entries of a key (1) and a value (2).
_FIELDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_BYTES_OF_FIXED = {1: 8, 5: 4}
LOCATION = b"location"
"""What is in every model that names files."""


def external_files(model: bytes) -> frozenset[str]:
    """The locations of external data that a model names: an ONNX one, others have none.

    Raises ValueError for a file that is no model.
    """
    if LOCATION not in model:  # one look instead of a walk, for nearly every model
        return frozenset()
    if model.startswith(b"furiosa-ir ") or model[4:8] == b"TFL3":
        return frozenset()
    found = set()
    waiting = [("model", memoryview(model))]
    while waiting:
        kind, message = waiting.pop()
        if kind == "entry":
            entry = {number: bytes(content) for number, content in _fields(message)}
            if entry.get(1) == LOCATION and 2 in entry:
                found.add(entry[2].decode())
            continue
        inner = _FIELDS[kind]
        waiting += [(inner[number], content) for number, content in _fields(message) if number in inner]
    return frozenset(found)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of the length-delimited fields of a message; others are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            _, at = _varint(message, at)
        elif wire in _BYTES_OF_FIXED:
            at += _BYTES_OF_FIXED[wire]
        elif wire == 2:
            size, at = _varint(message, at)
            yield number, message[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {wire}")
        if at > len(message):
            raise ValueError("a field goes beyond its message")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that starts at ``at``, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("a number goes beyond its message")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
