"""The cache on a Redis server: found there by every process, and never in the way, whatever the server does."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest
from tests.compiler.cache_support import Words, needs_redis, redis_server, tcp_server
from tests.compiler.quantized_nets import mixed, tiny

from furiosa.compiler import compile_model
from furiosa.compiler.cache import Facts, Trouble, open_store, redis_protocol, redis_store
from furiosa.compiler.cache.entry import pack
from furiosa.isa.env import StoreUrl

EXPECTED = compile_model(tiny(), cache_enabled=False).enf
SECRET = "hunter2/@:ä"
QUOTED = "hunter2%2F%40%3A%C3%A4"
Use = Callable[[str], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Called with a URL: the cache is there from now on."""
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.delenv("FC_CACHE_LIFETIME", raising=False)
    monkeypatch.setattr("furiosa.compiler.cache.use._warned", set())  # ports come back
    monkeypatch.setattr("furiosa.compiler.cache.use._unreachable", set())
    return lambda url: monkeypatch.setenv("FC_CACHE_STORE_URL", url)


@pytest.fixture
def words(caplog: pytest.LogCaptureFixture) -> Words:
    caplog.set_level(logging.INFO)
    return Words(caplog)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (port, _):
        yield port


def fails(words: Words, reason: str) -> None:
    """One compilation warns once and the next one not; the results are right."""
    for warnings in (1, 0):
        result, said, warned = words.compile(tiny())
        assert result.enf == EXPECTED
        assert warned == warnings
        assert (reason if warnings else "failed before") in said
        assert "hunter2" not in said


@needs_redis
def test_hit_and_miss(server: int, use: Use, words: Words) -> None:
    use(f"redis://127.0.0.1:{server}/3")
    assert words.compile(tiny())[1].startswith("compiler cache: miss: this compiler has no result")
    result, said, _ = words.compile(tiny())
    assert said.startswith("compiler cache: hit: compiled 0.")
    assert result.enf == EXPECTED


@needs_redis
def test_values_that_are_no_entries(server: int, use: Use, words: Words) -> None:
    from redis import Redis

    use(f"redis://127.0.0.1:{server}/4")
    words.compile(tiny())
    with Redis(port=server, db=4) as client:
        (name,) = client.keys()
        assert name.startswith(b"furiosa:compiler:")
        assert 72 * 3600 - 60 < client.ttl(name) <= 72 * 3600
        value = client.get(name)
        for damaged in (b"garbage", value[:-1], value[:-1] + b"x", value + b"x"):
            client.set(name, damaged)
            result, said, _ = words.compile(tiny())
            assert "is damaged: it" in said
            assert result.enf == EXPECTED
            assert client.get(name) != damaged
        client.delete(name)
        client.rpush(name, "a list")
        assert "is damaged: it is no string" in words.compile(tiny())[1]
        assert "hit" in words.compile(tiny())[1]


@needs_redis
@pytest.mark.parametrize(("lifetime", "seconds"), [("100", 72 * 3600), ("1000000", 1000000), ("-1", -1)])
def test_how_long_the_server_keeps_it(
    lifetime: str, seconds: int, server: int, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis import Redis

    use(f"redis://127.0.0.1:{server}/5")
    monkeypatch.setenv("FC_CACHE_LIFETIME", lifetime)
    with Redis(port=server, db=5) as client:
        client.flushdb()
        compile_model(tiny())
        (name,) = client.keys()
        assert seconds - 60 < client.ttl(name) <= seconds


@needs_redis
def test_upkeep(server: int, use: Use) -> None:
    """Keys of others stay as they are."""
    from redis import Redis

    from furiosa.compiler.cache import upkeep

    url = StoreUrl(f"redis://127.0.0.1:{server}/6")
    use(url.text)
    store = open_store(url, 5)
    compile_model(tiny())
    compile_model(mixed())
    with Redis(port=server, db=6) as client:
        client.set("furiosa:compiler:another", "x")
        client.rpush("furiosa:compiler:" + "0" * 64, "a list")
        assert sorted(upkeep.state(kept, -1) for kept in store.entries()) == ["damaged", "valid", "valid"]
        assert [kept.facts for kept in upkeep.prune(store, None)] == [None]
        (removed,) = upkeep.prune(store, 10_000)
        assert removed.facts is not None
        assert len([*store.entries()]) == 1
        upkeep.clear(store)
        assert client.keys() == [b"furiosa:compiler:another"]


@needs_redis
def test_passwords(tmp_path: Path, use: Use, words: Words) -> None:
    with redis_server(tmp_path, "--requirepass", SECRET) as (port, _):
        use(f"redis://127.0.0.1:{port}")
        fails(words, "cannot be used: it refuses the login: its password is missing or wrong")
        use(f"redis://:hunter2-wrong@127.0.0.1:{port}")
        fails(words, f"`redis://***@127.0.0.1:{port}` cannot be used: it refuses the login")
        use(f"redis://:{QUOTED}@127.0.0.1:{port}")
        words.compile(tiny())
        assert "hit" in words.compile(tiny())[1]


@needs_redis
def test_a_full_server(tmp_path: Path, use: Use, words: Words) -> None:
    with redis_server(tmp_path, "--maxmemory", "100kb") as (port, _):
        use(f"redis://127.0.0.1:{port}")
        result, said, warnings = words.compile(tiny())
        assert said.endswith(f"the result is not kept: `redis://127.0.0.1:{port}`: it is full")
        assert (warnings, result.enf) == (1, EXPECTED)


@needs_redis
def test_a_paused_and_a_dead_server(tmp_path: Path, use: Use, words: Words) -> None:
    with redis_server(tmp_path) as (port, process):
        use(f"redis://127.0.0.1:{port}")
        words.compile(tiny())
        process.send_signal(signal.SIGSTOP)
        fails(words, f"`redis://127.0.0.1:{port}` cannot be used: no answer within 0.8 s")
        process.send_signal(signal.SIGCONT)
        use(f"redis://127.0.0.1:{port}/7")
        assert "miss: this compiler" in words.compile(tiny(), batch_size=2)[1]
    use(f"redis://127.0.0.1:{port}/8")
    fails(words, "Connection refused")


@needs_redis
@pytest.mark.skipif(os.system("openssl version > /dev/null 2>&1") != 0, reason="`openssl` is not installed")
def test_tls(tmp_path: Path, use: Use, words: Words) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=cache", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    options = ["--tls-cert-file", key.with_name("certificate.pem"), "--tls-key-file", key, "--tls-auth-clients", "no"]
    with redis_server(tmp_path, *map(str, options), "--requirepass", SECRET, tls=True) as (port, _):
        use(f"rediss://:{QUOTED}@127.0.0.1:{port}")
        fails(words, "certificate verify failed")
        use(f"redis://:{QUOTED}@127.0.0.1:{port}")
        fails(words, "cannot be used: ")
        for trust in (f"ssl_ca_certs={certificate}", "ssl_cert_reqs=none"):
            use(f"rediss://:{QUOTED}@127.0.0.1:{port}?{trust}")
            words.compile(tiny())
            assert "hit" in words.compile(tiny())[1]
        use(f"rediss://:{QUOTED}@127.0.0.1:{port}/1?ssl_cert_reqs=none&unheard_of=1")
        fails(words, "its URL cannot be understood")


def _silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def _echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def _error(connection: socket.socket) -> None:
    while connection.recv(65536):
        connection.sendall(f"-ERR \x1b[31m you said {SECRET} and {QUOTED}\r\n".encode() * 9)


def _saying(data: bytes, pause: float = 0) -> Callable[[socket.socket], None]:
    """A server that answers everything with this, byte by byte when there is a pause."""

    def serve(connection: socket.socket) -> None:
        pieces = [bytes([byte]) for byte in data] if pause else [data]
        while connection.recv(65536):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)

    return serve


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (_silent, "no answer within 0.8 s"),
        (_saying(b"$90\r\n" + b"x" * 50, 0.02), "cannot be used: no answer within 0.8 s"),
        (_saying(b"$99999999999\r\nx"), "no answer within 0.8 s"),
        (_saying(b"$1999999999\r\nx"), "no answer within 0.8 s"),
        (_saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "it does not speak the Redis protocol"),
        (_saying(bytes(range(256)) * 40), "cannot be used: "),
        (_saying(b":1\r\n"), "cannot be used: "),
        (_saying(b"+OK\r\n" * 3), "it does not speak the Redis protocol"),
        (_saying(b"*1\r\n" * 3000), "cannot be used: "),
        (_error, "you said *** and ***"),
        (_echo, "cannot be used: "),
        (lambda connection: None, "cannot be used: "),
    ],
    ids=[
        "silent",
        "slow",
        "too long",
        "cut off",
        "http",
        "bytes",
        "numbers",
        "ok",
        "nested",
        "error",
        "echo",
        "closing",
    ],
)
def test_servers_that_are_no_redis(
    serve: Callable[[socket.socket], None], reason: str, use: Use, words: Words, caplog: pytest.LogCaptureFixture
) -> None:
    with tcp_server(serve) as port:
        use(f"redis://:{QUOTED}@127.0.0.1:{port}")
        result, said, warnings = words.compile(tiny())
    assert result.enf == EXPECTED
    assert warnings == 1
    assert reason in said
    assert "hunter2" not in caplog.text
    assert said.isprintable()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hunter2", "redis://***"),
        ("redis://:hunter2@", "redis://***"),
        ("redis://:hunter2@host:notaport", "redis://***"),
        ("redis://:a@hunter2@127.0.0.1:1/2?password=hunter2", "redis://***@127.0.0.1:1/2"),
        ("rediss://user:hunter2@[::1]:1", "rediss://***@[::1]:1"),
        ("redis://127.0.0.1:1", "redis://127.0.0.1:1"),
        ("http://:hunter2@host", "http://***"),
        ("/a/folder", "/a/folder"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str, use: Use, words: Words) -> None:
    assert (str(StoreUrl(url)), repr(StoreUrl(url)), f"{StoreUrl(url)}") == tuple(repeat(shown, 3))
    if "://" in url:
        use(url)
        assert "hunter2" not in words.compile(tiny())[1]
        with pytest.raises(Trouble) as caught:
            next(open_store(StoreUrl(url), 1).entries())
        assert "hunter2" not in str(caught.getrepr(showlocals=False, chain=True).reprcrash)


@needs_redis
def test_an_entry_of_many_pieces(server: int, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it is written anew, with other facts, while it is read."""
    store = open_store(StoreUrl(f"redis://127.0.0.1:{server}/9"), 5)
    result = bytes(range(256)) * 4096 + b"end"
    facts = Facts("ab" * 32, 1.5, None, len(result), 0.25, "m.onnx", "warboy", 1, "enf")
    other = replace(facts, model="another name.onnx")
    store.put(facts, pack(facts, result))
    assert store.get(facts.key) == (facts, result)
    again = partial(store.put, other, pack(other, result))
    monkeypatch.setattr(redis_store, "_pieces", _interrupted(redis_store._pieces, again))
    assert store.get(facts.key) == (other, result)


def _interrupted(pieces: Callable[..., Iterator[bytes]], what: Callable[[], None]) -> Callable[..., Iterator[bytes]]:
    """Pieces, and something that happens after the first of them."""

    def interrupted(*arguments: object) -> Iterator[bytes]:
        for index, piece in enumerate(pieces(*arguments)):
            yield piece
            if index == 0:
                what()

    return interrupted


def test_the_client_is_our_own() -> None:
    """What fetches a result imports neither the package `redis` nor asyncio, which take longer than the fetching."""
    code = "import furiosa.compiler.cache.redis_store, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"redis", "asyncio", "ssl", "onnx", "numpy"} & {*loaded}


@pytest.mark.parametrize(
    ("url", "host", "port", "login", "database"),
    [
        ("redis://h", "h", 6379, (), 0),
        ("redis://:p%40:%2F@h:1/2", "h", 1, ("p@:/",), 2),
        ("rediss://me:p@[::1]:1?db=3", "::1", 1, ("me", "p"), 3),
        ("redis://h?password=p&username=me", "h", 6379, ("me", "p"), 0),
        ("redis://me@h", "h", 6379, (), 0),
    ],
)
def test_urls(url: str, host: str, port: int, login: tuple[str, ...], database: int) -> None:
    server = redis_protocol.parse(url)
    assert (server.host, server.port, server.login, server.database) == (host, port, login, database)
    assert "login" not in repr(server)
