"""A kept result as bytes: a line with a checksum, a line of facts about the result, and the result itself."""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from furiosa.isa.wire import from_wire, to_wire

_MAGIC = b"furiosa-cache 1 "
_FACTS = len(_MAGIC) + 8 + 1  # where the second line begins
_MOST = 2**53

KEY = re.compile(r"[0-9a-f]{64}")
HEAD_BYTES = 4096
"""The first two lines lie within so many bytes."""

PIECE_BYTES = 2**18
"""How much of an entry is read at once."""


class Damaged(Exception):
    """Bytes that are not a whole entry for the key they were found under. The message is the reason."""


@dataclass(frozen=True)
class Facts:
    """What is known about a result. Times are seconds since 1970; ``seconds`` is how long the compilation took.

    ``model`` is a name for people. A store may forget the result from ``kept_until`` on; None means never.
    """

    key: str
    created: float
    kept_until: float | None
    size: int
    seconds: float
    model: str
    target: str
    batch_size: int
    target_ir: str


def pack(facts: Facts, result: bytes) -> list[bytes]:
    """The entry's bytes, in parts to be written one after the other."""
    line = json.dumps(to_wire(facts)).encode() + b"\n"
    return [_first_line(zlib.crc32(result, zlib.crc32(line))), line, result]


def facts_of(head: bytes, size: int) -> tuple[Facts, int]:
    """The facts in an entry's first ``HEAD_BYTES``, and where its result begins; ``size`` is that of the whole entry.

    The checksum is not looked at. Raises Damaged.
    """
    end = head.find(b"\n", _FACTS) + 1
    if not head.startswith(_MAGIC) or head[_FACTS - 1 : _FACTS] != b"\n" or not end:
        raise Damaged("it is no entry of this cache")
    try:
        facts = from_wire(Facts, json.loads(head[_FACTS:end]))
    except (ValueError, RecursionError):
        raise Damaged("its facts are unreadable") from None
    if not all(0 <= number < _MOST for number in (facts.created, facts.kept_until or 0, facts.size, facts.seconds)):
        raise Damaged("its facts are impossible")
    if end + facts.size != size:
        raise Damaged("it is cut off" if end + facts.size > size else "it goes on behind its end")
    return facts, end


def unpack(pieces: Iterable[bytes], size: int, key: str) -> tuple[Facts, bytes]:
    """The facts and the result in an entry of ``size`` bytes, the first ``HEAD_BYTES`` of it in one piece.

    Each piece is checked and put in its place before the next is asked for: it is still in the processor's cache, and
    a server makes ready the next one meanwhile. Raises Damaged unless it is whole, and the entry of ``key``.
    """
    rest = iter(pieces)
    first = next(rest, b"")
    facts, begin = facts_of(first[:HEAD_BYTES], size)
    if facts.key != key:
        raise Damaged("it is the entry of another key")
    result, checksum = io.BytesIO(), zlib.crc32(first[_FACTS:])
    result.write(first[begin:])
    for piece in rest:
        checksum = zlib.crc32(piece, checksum)
        result.write(piece)
    if result.tell() != facts.size or _first_line(checksum) != first[:_FACTS]:
        raise Damaged("its checksum does not fit its content")
    return facts, result.getvalue()


def _first_line(checksum: int) -> bytes:
    """The CRC-32 of all that follows: against accidents, like that of the ENF; a SHA-256 takes three times as long."""
    return _MAGIC + b"%08x\n" % checksum
