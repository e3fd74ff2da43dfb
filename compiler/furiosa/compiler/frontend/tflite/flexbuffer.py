"""FlexBuffers, the form of a custom operator's options, read with every offset checked: numbers by name.

A buffer is read from its end: the root's width, its type, the root. An offset is a distance back. A map is a vector of
values with a byte of type for each behind it, and in front of it where its keys are, how wide they are, and its length.
"""

from __future__ import annotations

from struct import unpack_from

from furiosa.compiler.frontend.tflite.flatbuffer import Damaged

_INT, _UINT, _FLOAT, _INDIRECT_INT, _INDIRECT_FLOAT, _MAP, _BOOL = 1, 2, 3, 6, 8, 9, 26
_FORMS = {
    _INT: {1: "<b", 2: "<h", 4: "<i", 8: "<q"},
    _UINT: {1: "<B", 2: "<H", 4: "<I", 8: "<Q"},
    _FLOAT: {2: "<e", 4: "<f", 8: "<d"},
}


def numbers(data: bytes) -> dict[str, float]:
    """The numbers and truth values of a buffer whose root is a map; empty when there is no map.

    Raises Damaged for offsets that lead out of the buffer.
    """
    if len(data) < 3:
        return {}
    width, kind = data[-1], data[-2]
    if kind >> 2 != _MAP:
        return {}
    values = _back(data, len(data) - 2 - width, width)
    width = 1 << (kind & 3)
    count = int(_scalar(data, values - width, width, _UINT))
    keys, key_width = _back(data, values - 3 * width, width), int(_scalar(data, values - 2 * width, width, _UINT))
    _check(data, values, count * (width + 1))
    found: dict[str, float] = {}
    for index in range(count):
        name = _text(data, _back(data, keys + index * key_width, key_width))
        value = _number(data, values + index * width, width, data[values + count * width + index])
        if value is not None:
            found[name] = value
    return found


def _number(data: bytes, at: int, width: int, packed: int) -> float | None:
    """The value of a place in a vector; None when it is no number."""
    kind = packed >> 2
    if _INDIRECT_INT <= kind <= _INDIRECT_FLOAT:
        return _scalar(data, _back(data, at, width), 1 << (packed & 3), kind - _INDIRECT_INT + _INT)
    if kind == _BOOL:
        return _scalar(data, at, width, _UINT)
    return _scalar(data, at, width, kind) if kind in _FORMS else None


def _check(data: bytes, at: int, size: int) -> None:
    if at < 0 or at + size > len(data):
        raise Damaged("an offset of a custom operator's options lies beyond them")


def _scalar(data: bytes, at: int, width: int, kind: int) -> float:
    if width not in _FORMS[kind]:
        raise Damaged(f"a number of a custom operator's options has {width} bytes")
    _check(data, at, width)
    value: float = unpack_from(_FORMS[kind][width], data, at)[0]
    return value


def _back(data: bytes, at: int, width: int) -> int:
    return at - int(_scalar(data, at, width, _UINT))


def _text(data: bytes, at: int) -> str:
    _check(data, at, 1)
    return data[at : data.find(b"\0", at)].decode(errors="replace")
