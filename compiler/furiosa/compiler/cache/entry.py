"""A kept result as bytes: a line with a checksum, a line of facts about the result, and the result itself."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass

from furiosa.isa.wire import from_wire, to_wire

_MAGIC = b"furiosa-cache 1 "
_FACTS = len(_MAGIC) + 8 + 1  # where the second line begins
_MOST = 2**53

KEY = re.compile(r"[0-9a-f]{64}")
HEAD_BYTES = 4096
"""The first two lines lie within so many bytes."""


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
    return [_MAGIC + _checksum(line, result) + b"\n", line, result]


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


def check(head: bytes, result: bytes, key: str, facts: Facts) -> None:
    """Raise Damaged unless an entry is whole and that of ``key``; ``head`` is all of it that precedes the result."""
    if facts.key != key:
        raise Damaged("it is the entry of another key")
    if _MAGIC + _checksum(head[_FACTS:], result) + b"\n" != head[:_FACTS]:
        raise Damaged("its checksum does not fit its content")


def _checksum(line: bytes, result: bytes) -> bytes:
    """The CRC-32 of both: against accidents, like that of the ENF; a SHA-256 takes three times as long."""
    return b"%08x" % zlib.crc32(result, zlib.crc32(line))
