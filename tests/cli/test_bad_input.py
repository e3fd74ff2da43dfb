"""Whatever is wrong with a file, an option or a disk: one message, exit status 2, nothing left behind, no traceback."""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from tests.compiler.quantized_nets import chain, resnet, tiny

from furiosa.cli import bench, compiler
from furiosa.compiler import compile_model
from furiosa.isa.errors import FuriosaError, InternalError
from furiosa.isa.files import save, save_all
from furiosa.runtime.failures import FuriosaRuntimeError
from furiosa.runtime.sync import create_runner

Run = Callable[..., str]
COMMANDS = {"furiosa-compiler": compiler.main, "furiosa-bench": bench.main}
FLOAT = TensorProto.FLOAT


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder where the commands run, on a simulated host of its own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(tmp_path / "state"))
    for name in ("FURIOSA_DEVICES", "NPU_DEVNAME", "FURIOSA_SIM_CONFIG", "NPU_COMPILER_CONFIG_PATH", "FURIOSA_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "here"


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Called with a command and arguments: its one message, after checking that nothing else happened."""

    def call(command: str, *arguments: str | bytes | Path) -> str:
        before = listing()
        monkeypatch.setattr(sys, "argv", [command, *map(os.fsdecode, arguments)])
        status = COMMANDS[command]()
        out, err = capfd.readouterr()
        message = err[err.find("error: ") :]
        assert (status, out, listing()) == (2, "", before), err
        assert err.count("error: ") == 1, err
        assert "Traceback" not in err
        assert re.fullmatch(r"error: [^\n]+\n(  at [^\n]+\n)?(\nhint: [^\n]+\n)?", message), message
        assert not message.splitlines()[0].endswith(".")
        return message

    return call


def listing() -> dict[str, bytes]:
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in Path().iterdir()}


def model(nodes: list[onnx.NodeProto], shape: list[int | str | None], kind: int = FLOAT, **more: object) -> bytes:
    """A model from ``x`` to ``y`` of one type."""
    info = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", info[:1], info[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **more)
    return bytes(made.SerializeToString())


def node(kind: str, x: str = "x", y: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, [x], [y], name=f"the_{kind}", **attributes)


def two(first: onnx.NodeProto, second: onnx.NodeProto) -> bytes:
    return model([first, second], [1, 2])


MODELS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the model file is empty"),
    "zeros": (bytes(1000), "not an ONNX model"),
    "text": (b"This is a text.\n" * 10, "not an ONNX model"),
    "random": (random.Random(0).randbytes(5000), "not an ONNX model"),
    "an image": (b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(500), "not an ONNX model"),
    "TFLite": (b"\x20\0\0\0TFL3" + bytes(100), "TFLite"),
    "no graph": (onnx.ModelProto(ir_version=8).SerializeToString(), "not an ONNX model"),
    "dynamic": (model([node("Relu")], ["batch", 3]), "tensor `x` contains an unsupported dimension value: `batch`"),
    "unknown size": (model([node("Relu")], [None, 3]), "tensor `x` contains an unsupported dimension value: ?"),
    "negative size": (model([node("Relu")], [-1, 3]), "tensor `x` contains an unsupported dimension value: -1"),
    "cyclic": (two(node("Relu", "b", "a"), node("Relu", "a", "b")), "not valid ONNX"),
    "unordered": (two(node("Relu", "m"), node("Sin", "x", "m")), "not valid ONNX"),
    "itself": (model([node("Relu", "y", "y")], [2]), "not valid ONNX"),
    "dangling": (model([node("Relu", "ghost")], [2]), "not valid ONNX"),
    "twice": (two(node("Relu"), node("Sin")), "not valid ONNX"),
    "unknown operator": (model([node("Frobnicate")], [2]), "Frobnicate"),
    "unknown domain": (model([node("Relu", domain="com.example")], [2]), "com.example"),
    "wrong attribute": (model([node("LeakyRelu", alpha="much")], [2]), "not valid ONNX"),
    "too many inputs": (model([helper.make_node("Relu", ["x", "x"], ["y"])], [2]), "not valid ONNX"),
    "wrong type": (model([node("Relu")], [2], TensorProto.STRING), "not valid ONNX"),
    "no such type": (model([node("Relu")], [2], 77), "type"),
    "huge": (model([node("Relu")], [1, 2**31, 2**31]), "tensor `x` takes"),
    "overflowing": (model([node("Relu")], [2**62, 2**62]), "tensor `x` takes"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", MODELS)
def test_models_that_cannot_be_compiled(case: str, command: str, refused: Run) -> None:
    data, words = MODELS[case]
    Path("the model.onnx").write_bytes(data)
    message = refused(command, "the model.onnx", "-o", "out")
    assert words in message
    assert "the model.onnx" in message or "`x`" in message or "`the_" in message
    assert "\nhint: " in message


@pytest.mark.parametrize("case", MODELS)
def test_the_same_from_python(case: str) -> None:
    data, words = MODELS[case]
    with pytest.raises(FuriosaError, match=re.escape(words)) as caught:
        compile_model(data)
    assert not isinstance(caught.value, InternalError)
    with pytest.raises(FuriosaRuntimeError, match=re.escape(words)):
        create_runner(data)


def test_truncated_models(refused: Run) -> None:
    data = tiny()
    for end in range(0, len(data), 97):
        Path("cut.onnx").write_bytes(data[:end])
        assert "cut.onnx" in refused("furiosa-compiler", "cut.onnx")


def test_damaged_models_compile_or_are_refused() -> None:
    """A changed byte may be a changed weight; it is never an internal error."""
    data, choose = tiny(), random.Random(3)
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(choose.choice((1, 1, 3))):
            damaged[choose.randrange(len(data))] = choose.randrange(256)
        try:
            compile_model(bytes(damaged), target_ir="gir")
        except FuriosaError as error:
            assert not isinstance(error, InternalError), error.message  # noqa: PT017  # either is right


@pytest.mark.parametrize("command", COMMANDS)
def test_paths_that_are_no_models(command: str, refused: Run) -> None:
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    for path in ("absent.onnx", "folder", "absent/model.onnx", "loop", "x" * 300, "", "folder/../absent"):
        message = refused(command, path)
        assert message.startswith("error: cannot read ")
        assert f"`{path or '.'}`" in message


def test_paths_that_are_not_utf8(refused: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = b"m\xff\xfe.onnx"
    Path(os.fsdecode(path)).write_bytes(b"no model")
    for command in COMMANDS:
        assert re.search(r"\bm(\?\?|\\udcff\\udcfe)\.onnx", refused(command, path))
    Path(os.fsdecode(path)).write_bytes(tiny())
    monkeypatch.setattr(sys, "argv", ["furiosa-compiler", os.fsdecode(path), "-o", os.fsdecode(b"\xff.enf"), "-v"])
    assert compiler.main() == 0
    assert Path(os.fsdecode(b"\xff.enf")).read_bytes() == compile_model(tiny()).enf


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "missing argument '<SOURCE>'"),
        (["m", "n"], "unexpected extra argument (n)"),
        (["m", "--nothing"], "--nothing"),
        (["m", "--outpt", "x"], "--outpt"),
        (["m", "-b", "0"], "0 is not in the range x>=1"),
        (["m", "-b", "-2"], "-2 is not in the range x>=1"),
        (["m", "-b", "two"], "'two' is not a valid integer"),
        (["m", "-b"], "'-b' requires an argument"),
        (["m", "-b", "99999999999999999999"], "99999999999999999999"),
        (["m", "--target-npu", "warboy-3pe"], "`warboy-3pe`"),
        (["m", "--target-npu", ""], "``"),
        (["m", "--target-ir", "elf"], "'elf' is not one of 'dfg', 'ldfg', 'cdfg', 'gir', 'lir', 'enf'"),
        (["m", "-o", "absent/x.enf"], "cannot write `absent/x.enf`: there is no folder"),
        (["m", "-o", "."], "cannot write `.`: it is a folder"),
        (["m", "-o", "m/x"], "cannot write `m/x`: Not a directory"),
        (["m", "-o", "y" * 300], "File name too long"),
        (["m", "-o", "/dev/full"], "cannot write `/dev/full`: No space left on device"),
        (["m", "--report", "/dev/full"], "cannot write `/dev/full`: No space left on device"),
        (["m", "--report", "absent/x.json"], "cannot write `absent/x.json`"),
        (["m", "--dot-graph", "/proc/nothing"], "cannot write `/proc/nothing`"),
    ],
)
def test_options_of_the_compiler(arguments: list[str], words: str, refused: Run) -> None:
    Path("m").write_bytes(tiny())
    Path("output.enf").write_bytes(b"old")
    message = refused("furiosa-compiler", *arguments)
    assert words in message
    assert "\nhint: " in message


def test_batches_that_no_device_holds(refused: Run) -> None:
    Path("m").write_bytes(tiny())
    for batch in (10**9, 2**31, 2**62, 2**63 - 1):
        assert re.search(r"takes \d+ bytes|batch size", refused("furiosa-compiler", "m", "-b", str(batch)))


@pytest.mark.parametrize("variable", ["NPU_COMPILER_CONFIG_PATH", "FURIOSA_DUMP"])
def test_environment_that_cannot_be_used(variable: str, refused: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("m").write_bytes(tiny())
    Path("file").write_bytes(b"\xff")
    monkeypatch.setenv(variable, "file")
    assert "`file`" in refused("furiosa-compiler", "m")


def as_nobody(work: Callable[[], None]) -> None:
    """Run in a child without the rights of root, which may read and write everything."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.getuid() == 0:
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            work()
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_rights(folder: Path) -> None:
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o755)
    Path("secret").write_bytes(tiny())
    Path("secret").chmod(0)
    Path("kept.enf").write_bytes(b"old")
    Path("kept.enf").chmod(0o444)
    Path("open").write_bytes(b"old")
    Path("open").chmod(0o666)
    Path("model").write_bytes(tiny())
    folder.chmod(0o555)

    def work() -> None:
        with pytest.raises(FuriosaError, match="cannot read the model `secret`: Permission denied"):
            compile_model("secret")
        for path in ("kept.enf", "new.enf"):
            sys.argv = ["furiosa-compiler", "model", "-q", "-o", path]
            assert compiler.main() == 2
        save(Path("open"), b"new")  # its folder is read-only: written in place

    try:
        as_nobody(work)
        assert Path("kept.enf").read_bytes() == b"old"
        assert Path("open").read_bytes() == b"new"
        assert sorted(listing()) == ["kept.enf", "model", "open", "secret"]
    finally:
        folder.chmod(0o755)


def test_a_full_disk_leaves_the_old_files() -> None:
    """A limit on the size of files acts like a full disk: of several files, none is replaced."""
    Path("small").write_bytes(b"old small")
    Path("large").write_bytes(b"old large")

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        for files in ({"small": b"new", "large": bytes(20_000)}, {"large": bytes(20_000), "small": b"new"},
                      {"absent": bytes(20_000)}, {"small": b"new", "absent/x": b""}):  # fmt: skip
            with pytest.raises(FuriosaError, match=r"cannot write `(large|absent|absent/x)`: "):
                save_all({Path(name): content for name, content in files.items()})
        Path("m").write_bytes(b"")
        os.unlink("m")

    Path().chmod(0o777)
    for name in ("small", "large"):
        Path(name).chmod(0o666)
    for parent in (Path.cwd(), *Path.cwd().parents):
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o755)
    as_nobody(work)
    assert listing() == {"small": b"old small", "large": b"old large"}


WRITER = """
import os, sys
from pathlib import Path
from furiosa.isa import files
def slow_fill(file, place, data, fill=files._fill):
    file.write(data[: len(data) // 2]); file.flush()
    print("half", flush=True)
    sys.stdin.read()
files._fill = slow_fill
files.save(Path("out.enf"), bytes(10**6))
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_in_the_middle_of_writing(sent: signal.Signals) -> None:
    """The old file stays, and nothing lies beside it."""
    Path("out.enf").write_bytes(b"old")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", WRITER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(sent)
        assert process.wait(timeout=30) != 0
    assert listing() == {"out.enf": b"old"}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_while_compiling(sent: signal.Signals) -> None:
    Path("chain.onnx").write_bytes(chain(5000))
    Path("output.enf").write_bytes(b"old")
    before = listing()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "furiosa.cli.compiler", "chain.onnx", "--report", "r.json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"[1/6]")
        time.sleep(0.05)
        process.send_signal(sent)
        err = process.stderr.read().decode()
    assert listing() == before
    if sent is signal.SIGINT:
        assert process.returncode == 130
        assert err.endswith("interrupted\n")
        assert "Traceback" not in err


def test_external_weights_that_are_not_there(refused: Run) -> None:
    made = onnx.load_from_string(resnet())
    tensor = max(made.graph.initializer, key=lambda t: len(t.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for location in ("weights.bin", "../../../etc/passwd", "/etc/passwd"):
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value=location)
        Path("external.onnx").write_bytes(made.SerializeToString())
        assert "external.onnx" in refused("furiosa-compiler", "external.onnx")
    with pytest.raises(FuriosaError, match="lies outside the file"):
        compile_model(made.SerializeToString())


def test_outputs_of_the_bench_are_told_apart(refused: Run) -> None:
    Path("m").write_bytes(tiny())
    assert refused("furiosa-bench", "m", "-o", "m").startswith("error: the output `m` is an input itself\n")
    assert refused("furiosa-bench", "m", "-T", "m").startswith("error: the output `m` is an input itself\n")
    assert refused("furiosa-bench", "m", "-o", "x", "-T", "./x").startswith("error: two outputs go to `x`\n")
    for option in ("-o", "-T"):
        assert "No space left on device" in refused("furiosa-bench", "m", option, "/dev/full")


def test_nobody_listens() -> None:
    """A reader that went away, a stderr that is full: the status still tells."""
    Path("m").write_bytes(tiny())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    for script, status in (
        ("furiosa.cli.bench m 2>&1 | true", 141),
        ("furiosa.cli.bench m | true", 141),
        ("furiosa.cli.compiler --help | true", 141),
        ("furiosa.cli.compiler absent 2>/dev/full", 2),
        ("furiosa.cli.compiler absent 2>&1 | true", 2),
        ("furiosa.cli.bench absent 2>&-", 2),
    ):
        command = f"{sys.executable} -m {script}; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (status, b"", b""), script
