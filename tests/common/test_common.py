"""furiosa.common: what SDK programs import from it, with files and a server of this computer as locations."""

from __future__ import annotations

import asyncio
import contextvars
import http.server
import importlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from furiosa.common import error, transport, utils
from furiosa.common.native import LogLevel, find_native_libs
from furiosa.common.thread import asynchronous, synchronous
from furiosa.isa.errors import OptionError

CONTENT = b"a model"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a model.onnx").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FURIOSA_TRANSPORT_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_errors_and_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert str(error.FuriosaError("sentence")) == "sentence"
    assert (error.is_ok(0), error.is_err(0), error.is_ok(23), error.is_err(23)) == (True, False, False, True)
    version = utils.get_sdk_version("furiosa.runtime")
    assert str(version) == f"{version.version}-{version.stage} (rev: {version.hash[:9]})"
    assert repr(version) == f"FuriosaVersionInfo({(version.stage, version.version, version.hash)})"
    assert (utils.removeprefix("npu0", "npu"), utils.removeprefix("npu0", "x")) == ("0", "npu0")
    utils.eprint("one", 2, sep="-")
    assert capsys.readouterr() == ("", "one-2\n")
    assert [level.value for level in (LogLevel.OFF, LogLevel.ERROR, LogLevel.WARN, LogLevel.INFO)] == [0, 1, 2, 3]
    assert find_native_libs("no-such-library") is None


@pytest.mark.parametrize(
    "package", ["cli", "common", "device", "litmus", "optimizer", "quantizer", "runtime", "server"]
)
def test_every_package_has_the_version(package: str) -> None:
    assert importlib.import_module(f"furiosa.{package}").__version__ == utils.get_sdk_version(f"furiosa.{package}")


@pytest.mark.parametrize(
    ("package", "engine"), [("device", "native"), ("quantizer", "furiosa_quantizer_impl"), ("runtime", "furiosa-rt")]
)
def test_full_versions_name_the_engine(package: str, engine: str) -> None:
    text = importlib.import_module(f"furiosa.{package}").__full_version__
    name = rf"Furiosa SDK {package.title()} (\S+) \(rev: (\S+)\)"
    assert re.fullmatch(rf"{name} \({engine} (\S+) (\S+) (\S+)\)", text)


def test_bridges_between_blocking_and_asynchronous_functions() -> None:
    name = contextvars.ContextVar("name", default="")

    async def greet(greeting: str, *, end: str = "!") -> str:
        await asyncio.sleep(0)
        return f"{greeting} {name.get()}{end}"

    async def in_a_loop() -> str:
        name.set("loop")
        return synchronous(greet)("hello", end=".")

    assert synchronous(greet)("hello") == "hello !"
    assert asyncio.run(in_a_loop()) == "hello loop."
    thread = asyncio.run(asynchronous(threading.current_thread)())
    assert thread is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        asyncio.run(asynchronous(lambda x: 1 / x)(0))


@pytest.mark.parametrize("form", ["a model.onnx", "{0}/a model.onnx", "file://{0}/a%20model.onnx"])
def test_files_are_read_where_they_are(form: str, folder: Path) -> None:
    location = form.format(folder)
    with transport.supported(location) as client:
        assert asyncio.run(client.read(location)) == CONTENT
    assert asyncio.run(transport.read(location)) == CONTENT
    assert asyncio.run(transport.read(*location.rsplit("/", 1))) == CONTENT
    assert asyncio.run(transport.download(location)).resolve() == folder / "a model.onnx"
    assert transport.is_relative(location) == (form == "a model.onnx")


def test_urls_are_downloaded_once(url: str, folder: Path) -> None:
    location = f"{url}/a%20model.onnx"
    assert asyncio.run(transport.read(location)) == CONTENT
    path = asyncio.run(transport.download(location))
    assert path.read_bytes() == CONTENT
    assert path.name == "a model.onnx"
    assert path.is_relative_to(folder / "home")
    (folder / "a model.onnx").write_bytes(b"another")
    assert asyncio.run(transport.download(location)).read_bytes() == CONTENT


def test_what_cannot_be_read_is_named(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for location in ("absent", "file:///absent", f"{url}/absent", "http://127.0.0.1:1/x", "http://[x", "a\0b"):
        with pytest.raises(OptionError, match="cannot read"):
            asyncio.run(transport.read(location))
    for location in ("s3://bucket/model", "gopher://"):
        with pytest.raises(transport.TransportNotFound, match="no transport"), transport.supported(location):
            pass
    monkeypatch.setenv("FURIOSA_TRANSPORT_HOME", str(folder / "a model.onnx"))
    with pytest.raises(OptionError, match="cannot make the folder"):
        asyncio.run(transport.download(f"{url}/a%20model.onnx"))
