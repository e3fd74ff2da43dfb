"""The cache in a folder: what is found and what is not, and that nothing wrong is ever taken for a result."""

from __future__ import annotations

import logging
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler.cache_support import Words
from tests.compiler.quantized_nets import mixed, tiny

from furiosa.compiler import compile_model
from furiosa.compiler.cache import Damaged, Facts
from furiosa.compiler.cache.entry import HEAD_BYTES, facts_of, pack, unpack
from furiosa.compiler.compilation import TARGET_IRS
from furiosa.compiler.pipeline import LAYERS
from furiosa.isa.errors import OptionError

MISS = "compiler cache: miss: this compiler has no result of this model with these options"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "made" / "store"
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", str(folder))
    monkeypatch.delenv("FC_CACHE_LIFETIME", raising=False)
    return folder


@pytest.fixture
def words(caplog: pytest.LogCaptureFixture) -> Words:
    return Words(caplog)


def only(store: Path) -> Path:
    (entry,) = store.iterdir()
    return entry


def rewrite(entry: Path, change: Callable[[Facts], Facts]) -> None:
    """The entry with other facts."""
    facts, begin = facts_of(entry.read_bytes()[:HEAD_BYTES], entry.stat().st_size)
    entry.write_bytes(b"".join(pack(change(facts), entry.read_bytes()[begin:])))


def test_the_second_compilation_is_a_hit(store: Path, words: Words, tmp_path: Path) -> None:
    path = tmp_path / "a model.onnx"
    path.write_bytes(tiny())
    expected = compile_model(path, cache_enabled=False)
    first, said, _ = words.compile(path)
    assert said == MISS
    for model in (path, str(path), tiny()):
        second, said, _ = words.compile(model)
        assert said.startswith("compiler cache: hit: compiled 0.")
        assert first.enf == second.enf == expected.enf
        assert first.report == second.report == expected.report
        assert list(first.layers) == list(second.layers) == list(expected.layers)
    modes = [stat.S_IMODE(place.stat().st_mode) for place in (store.parent, store, only(store))]
    assert modes == [0o700, 0o700, 0o600]


def test_every_layer_is_kept_by_itself(store: Path, words: Words) -> None:
    assert TARGET_IRS == LAYERS
    for layer in LAYERS:
        assert words.compile(tiny(), target_ir=layer)[1] == MISS
        result, said, _ = words.compile(tiny(), target_ir=layer)
        assert "hit" in said
        assert result.data == compile_model(tiny(), target_ir=layer, cache_enabled=False).data
        assert bool(result.report) == (layer == "enf")


def test_whatever_changes_the_result_is_in_the_key(store: Path, words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    variants: list[tuple[bytes, dict[str, Any]]] = [
        (tiny(), {}), (mixed(), {}), (tiny(), {"target": "warboy"}), (tiny(), {"batch_size": 2}),
        (tiny(), {"target_ir": "lir"}), (tiny(), {"config": {"split_unit": 1}}),
        (tiny(), {"config": {"split_unit": 2}}),
    ]  # fmt: skip
    for model, options in variants:
        assert words.compile(model, **options)[1] == MISS
    for model, options in variants:
        assert "hit" in words.compile(model, **options)[1]
    monkeypatch.setenv("NPU_COMPILER_CONFIG_PATH", str(store.parent / "config.yml"))
    (store.parent / "config.yml").write_text("split_unit: 2\n")
    assert "hit" in words.compile(tiny())[1]
    (store.parent / "config.yml").write_text("split_unit: 3\n")
    assert words.compile(tiny())[1] == MISS
    (store.parent / "config.yml").write_text("splt_unit: 3\n")
    with pytest.raises(OptionError, match="splt_unit"):
        compile_model(tiny())


def test_files_of_external_data_are_part_of_the_model(store: Path, words: Words, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    model = onnx.load_from_string(tiny())
    for folder in folders:
        folder.mkdir()
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        onnx.save(copy, folder / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    data = folders[1] / "weights.bin"
    changed = bytearray(data.read_bytes())
    changed[-1] ^= 1
    assert words.compile(folders[0] / "m.onnx")[1] == MISS
    assert "hit" in words.compile(folders[1] / "m.onnx")[1]
    data.write_bytes(changed)
    assert words.compile(folders[1] / "m.onnx")[1] == MISS
    data.unlink()
    os.mkfifo(data)
    with pytest.raises(Exception, match="external data"):
        words.compile(folders[1] / "m.onnx")


def test_a_model_that_changes_meanwhile_is_not_kept(store: Path, words: Words, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny())
    result, said, _ = words.compile(path, progress=lambda _: None)
    assert said == MISS

    def overwritten(_: str) -> None:
        path.write_bytes(mixed())

    path.write_bytes(tiny())
    result, _, _ = words.compile(path, progress=overwritten, batch_size=2)
    assert result.enf == compile_model(tiny(), batch_size=2, cache_enabled=False).enf
    assert "hit" in words.compile(tiny(), batch_size=2)[1]
    assert words.compile(mixed(), batch_size=2)[1] == MISS


@pytest.mark.parametrize(
    ("lifetime", "age", "expected"),
    [
        (None, 0, "hit: compiled 0."),
        (None, 71 * 3600, "hit: compiled 71 h ago, in "),
        (None, 73 * 3600, "miss: the result is 73 h old, and the lifetime is 259200 s"),
        ("10", 5, "hit: compiled 5."),
        ("10", 500, "miss: the result is 8 min old, and the lifetime is 10 s"),
        ("0", 0, "miss: FC_CACHE_LIFETIME is 0"),
        ("-1", 10**8, "hit: compiled 1157 days ago"),
        ("9" * 40, 10**8, "hit: compiled 1157 days ago"),
    ],
)
def test_lifetimes(
    lifetime: str | None, age: int, expected: str, store: Path, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    words.compile(tiny())
    rewrite(only(store), lambda facts: replace(facts, created=facts.created - age))
    if lifetime is not None:
        monkeypatch.setenv("FC_CACHE_LIFETIME", lifetime)
    _, said, warnings = words.compile(tiny())
    assert said.startswith(f"compiler cache: {expected}")
    assert warnings == 0
    monkeypatch.setenv("FC_CACHE_LIFETIME", "100" if "miss" in expected else "-1")
    assert "hit" in words.compile(tiny())[1]


def test_the_cache_can_be_left_out(store: Path, words: Words, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert words.compile(tiny(), cache_enabled=False)[1] == ""
    monkeypatch.setenv("FURIOSA_DUMP", str(tmp_path / "dump"))
    assert words.compile(tiny())[1] == ""
    assert any((tmp_path / "dump").iterdir())
    monkeypatch.delenv("FURIOSA_DUMP")
    monkeypatch.setenv("FC_CACHE_ENABLED", "0")
    assert words.compile(tiny())[1] == ""
    assert not store.exists()


@pytest.mark.parametrize(("name", "value"), [("FC_CACHE_ENABLED", "maybe"), ("FC_CACHE_LIFETIME", "3 days")])
def test_unusable_variables(name: str, value: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match=f"`{name}` has an unusable value `{value}`"):
        compile_model(tiny())


def test_damage_is_found_and_repaired(store: Path, words: Words, tmp_path: Path) -> None:
    expected = compile_model(tiny(), cache_enabled=False).enf
    words.compile(mixed())
    other = only(store).read_bytes()
    words.compile(tiny())
    (entry,) = (path for path in store.iterdir() if path.read_bytes() != other)
    whole = entry.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(whole)

    def linked() -> None:
        entry.symlink_to(elsewhere)

    for damage in (
        lambda: entry.write_bytes(b""),
        lambda: entry.write_bytes(whole[:-1]),
        lambda: entry.write_bytes(whole[:100]),
        lambda: entry.write_bytes(whole + b"x"),
        lambda: entry.write_bytes(whole[:-9] + b"x" + whole[-8:]),
        lambda: entry.write_bytes(whole.replace(b'"tiny', b'"tinz').replace(b"the given", b"not given")),
        lambda: entry.write_bytes(other),
        lambda: entry.write_bytes(b"furiosa-cache 1 " + b"0" * 8 + b"\n" + b"[" * 4000 + b"\n"),
        lambda: os.mkfifo(entry),
        linked,
    ):
        entry.unlink()
        damage()
        result, said, _ = words.compile(tiny())
        assert said.startswith(f"compiler cache: miss: the entry in `{store}` is damaged: it")
        assert result.enf == expected
        assert "hit" in words.compile(tiny())[1]
        assert entry.read_bytes()[-len(expected) :] == expected
    assert elsewhere.read_bytes() == whole


@given(at=st.integers(0, 2**20), new=st.binary(max_size=4), cut=st.integers(0, 8))
def test_no_change_of_an_entry_goes_unnoticed(at: int, new: bytes, cut: int) -> None:
    facts = Facts("ab" * 32, 1.5, None, 5000, 0.25, "m.onnx", "warboy", 1, "enf")
    whole = b"".join(pack(facts, bytes(range(250)) * 20))
    at %= len(whole)
    changed = whole[:at] + new + whole[at + cut :]
    if changed == whole:
        return
    pieces = [changed[:HEAD_BYTES], changed[HEAD_BYTES:]]
    with pytest.raises(Damaged):
        unpack(pieces, len(changed), facts.key)


def test_one_warning_a_store(store: Path, words: Words) -> None:
    store.parent.mkdir()
    store.write_bytes(b"a file")
    for expected in (1, 0):
        result, said, warnings = words.compile(tiny())
        assert said == f"compiler cache: miss: `{store}` cannot be used: Not a directory"
        assert warnings == expected
        assert result.enf == compile_model(tiny(), cache_enabled=False).enf


@pytest.mark.parametrize("url", ["memcached://:hunter2@host", "/dev/null/x", "~nobody-is-called-so/cache", "a\0b"])
def test_impossible_places(url: str, words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    if "\0" in url:
        monkeypatch.setattr(os, "environ", {**os.environ, "FC_CACHE_STORE_URL": url})
    else:
        monkeypatch.setenv("FC_CACHE_STORE_URL", url)
    _, said, warnings = words.compile(tiny())
    assert warnings == 1
    assert "cannot be used" in said
    assert "hunter2" not in said


def test_a_folder_that_cannot_be_written_to(words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", "/proc/self")
    result, said, warnings = words.compile(tiny())
    assert said.startswith(f"{MISS}\ncompiler cache: the result is not kept: `/proc/self`: ")
    assert warnings == 1
    assert result.enf == compile_model(tiny(), cache_enabled=False).enf


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_nothing_of_another_user_is_believed(store: Path, words: Words) -> None:
    words.compile(tiny())
    entry = only(store)
    os.chown(entry, 4242, -1)
    assert words.compile(tiny())[1].endswith("is damaged: it is another user's file")
    assert entry.stat().st_uid == 0
    os.chown(store, 4242, -1)
    assert "hit" in words.compile(tiny())[1]
    real = store.rename(store.parent / "real")
    store.symlink_to(real)
    assert "hit" in words.compile(tiny())[1]
    os.lchown(store, 4242, -1)
    assert words.compile(tiny())[1].endswith(f"cannot be used: `{store}` is a link of another user")


def test_a_full_disk(store: Path, tmp_path: Path) -> None:
    """A limit on the size of files refuses the entry as a full disk does."""
    program = (
        "import resource, sys; from furiosa.compiler import compile_model\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "sys.stdout.buffer.write(compile_model(sys.argv[1]).enf)"
    )
    (tmp_path / "m.onnx").write_bytes(tiny())
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "m.onnx"], capture_output=True, check=True)
    assert done.stdout == compile_model(tiny(), cache_enabled=False).enf
    assert done.stderr.decode() == f"compiler cache: the result is not kept: `{store}`: File too large\n"
    assert not [*store.iterdir()]


def test_a_process_that_dies_while_it_writes(store: Path, words: Words, tmp_path: Path) -> None:
    program = (
        "import os, sys; from furiosa.compiler import compile_model\n"
        f"os.rename = lambda *_, **__: os.kill(os.getpid(), {signal.SIGKILL})\n"
        "compile_model(sys.argv[1])"
    )
    (tmp_path / "m.onnx").write_bytes(tiny())
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "m.onnx"], check=False)
    assert done.returncode == -signal.SIGKILL
    unfinished = only(store)
    assert stat.S_IMODE(unfinished.stat().st_mode) == 0o600
    assert words.compile(tiny())[1] == MISS
    assert "hit" in words.compile(tiny())[1]
    os.utime(unfinished, (0, 0))
    words.compile(mixed())
    assert not unfinished.exists()
    assert len([*store.iterdir()]) == 2


def test_processes_that_compile_the_same_model_at_once(store: Path, tmp_path: Path, words: Words) -> None:
    program = (
        "import os, sys; from furiosa.compiler import compile_model\n"
        "import furiosa.compiler.translation\n"
        "def one():\n"
        "    try: os._exit(compile_model(sys.argv[1]).enf != open(sys.argv[2], 'rb').read())\n"
        "    except BaseException: os._exit(2)\n"
        "children = [os.fork() or one() for _ in range(32)]\n"
        "print([os.waitpid(child, 0)[1] for child in children])"
    )
    (tmp_path / "m.onnx").write_bytes(tiny())
    (tmp_path / "expected").write_bytes(compile_model(tiny(), cache_enabled=False).enf)
    command = [sys.executable, "-c", program, tmp_path / "m.onnx", tmp_path / "expected"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"{[0] * 32}\n", "")
    assert only(store).is_file()
    assert "hit" in words.compile(tiny())[1]


def test_entries_past_their_time_are_swept(store: Path, words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short lifetime of one user does not take away what others keep for 72 hours."""
    monkeypatch.setenv("FC_CACHE_LIFETIME", "1")
    words.compile(tiny())
    entry = only(store)
    facts, _ = facts_of(entry.read_bytes()[:HEAD_BYTES], entry.stat().st_size)
    assert facts.kept_until == facts.created + 72 * 3600
    words.compile(mixed())
    assert entry.exists()
    rewrite(entry, lambda facts: replace(facts, kept_until=2.0))
    words.compile(mixed(), batch_size=2)
    assert not entry.exists()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # the module is deprecated
def test_a_session_uses_it_too(store: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    from furiosa.runtime import session
    from furiosa.runtime.sync import create_runner

    caplog.set_level(logging.INFO, "furiosa.compiler.cache")
    (tmp_path / "m.onnx").write_bytes(tiny())
    with create_runner(tmp_path / "m.onnx"):
        pass
    with session.create(str(tmp_path / "m.onnx")):
        pass
    said = [record.getMessage().split(":")[1] for record in caplog.records if record.name == "furiosa.compiler.cache"]
    assert said == [" miss", " hit"]
