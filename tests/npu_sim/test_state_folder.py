"""The state folder: private to its user, never through links, and whatever is wrong with it is said clearly."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.npu_sim.simulated_host import isolate, opened, users

from furiosa.isa.errors import DeviceError
from furiosa.npu_sim.devices import cards, occupants, open_devices, read_counters

NOBODY = 65534
FILES = ["pe.lock", "npu0pe0.counters"]

only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of other users")


@pytest.fixture
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    isolate(tmp_path / "state", monkeypatch)
    return tmp_path / "state"


@pytest.fixture
def ordinary_user(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the user that the test is meanwhile: not root."""
    folder = Path(tempfile.mkdtemp())
    isolate(folder / "state", monkeypatch)
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, -1)
        os.seteuid(NOBODY)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def uses() -> list[Callable[[], object]]:
    """Everything that looks into the folder."""
    return [lambda: open_devices("npu0pe0"), lambda: occupants(cards()), lambda: read_counters(cards()[0].files[1])]


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_all_that_is_made_is_private(umask: int, state_folder: Path) -> None:
    before = os.umask(umask & 0o077)
    try:
        open_devices("npu0pe0")[0].close()
        os.umask(umask)
        open_devices("npu0pe1")[0].close()
    finally:
        os.umask(before)
    assert mode(state_folder) == "0o700"
    assert {path.name: mode(path) for path in state_folder.iterdir()} == dict.fromkeys(
        (*FILES, "npu0pe1.counters"), "0o600"
    )


def test_files_are_private_in_a_folder_that_is_not(state_folder: Path) -> None:
    state_folder.mkdir()
    state_folder.chmod(0o1777)
    open_devices("npu0pe0")[0].close()
    assert {mode(path) for path in state_folder.iterdir()} == {"0o600"}


def test_an_unusable_folder_is_named(state_folder: Path) -> None:
    state_folder.write_text("a file")
    for use in uses():
        with pytest.raises(DeviceError, match=f"{state_folder}.*(Not a directory|File exists)") as caught:
            use()
        assert "FURIOSA_SIM_STATE_DIR" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["pe.lock", "npu0pe1.counters"])
def test_an_unusable_file_takes_no_device(name: str, state_folder: Path) -> None:
    (state_folder / name).mkdir(parents=True)
    with pytest.raises(DeviceError, match=f"{name}.*Is a directory"):
        open_devices("npu0pe0,npu0pe1")
    (state_folder / name).rmdir()
    assert users() == {}
    assert opened("warboy(2)*1") == ["npu0pe0-1"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
def test_links_and_pipes_are_refused_and_left_alone(kind: str, name: str, state_folder: Path, tmp_path: Path) -> None:
    state_folder.mkdir()
    target, path = tmp_path / "target", state_folder / name
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(target)
    if kind == "link":
        target.write_text("precious")
    asking = occupants if name == "pe.lock" else None
    problem = f"{name}.*it is (a symbolic link|not a regular file)"
    with pytest.raises(DeviceError, match=problem):
        open_devices("npu0pe0")
    with pytest.raises(DeviceError, match=problem):
        asking(cards()) if asking else read_counters(cards()[0].files[1])
    assert os.path.lexists(path)
    assert target.exists() == (kind == "link")
    if kind == "link":
        assert target.read_text() == "precious"
    path.unlink()
    assert opened("npu0pe0") == ["npu0pe0"]


def test_the_folder_may_be_a_link_of_its_user(state_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    state_folder.symlink_to(tmp_path / "elsewhere")
    assert opened("npu0pe0") == ["npu0pe0"]
    assert (tmp_path / "elsewhere" / "pe.lock").exists()


@only_root
@pytest.mark.parametrize("kind", ["folder", "link to a folder of ours", "link to a folder of theirs"])
def test_a_folder_of_another_user_is_refused(kind: str, state_folder: Path, tmp_path: Path) -> None:
    place = state_folder if kind == "folder" else tmp_path / "elsewhere"
    place.mkdir()
    if kind != "folder":
        state_folder.symlink_to(place)
    os.lchown(place if kind.endswith("theirs") else state_folder, NOBODY, -1)
    for use in uses():
        with pytest.raises(DeviceError, match=f"{state_folder}.*belongs to another user"):
            use()
    assert list(place.iterdir()) == []


@only_root
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_user_is_refused(name: str, state_folder: Path) -> None:
    open_devices("npu0pe0")[0].close()
    os.chown(state_folder / name, NOBODY, -1)
    with pytest.raises(DeviceError, match=f"{name}.*belongs to another user"):
        open_devices("npu0pe0")


def test_a_read_only_folder_is_refused(ordinary_user: Path) -> None:
    ordinary_user.chmod(0o500)
    with pytest.raises(DeviceError, match="Permission denied"):
        open_devices()
    assert users() == {}
    ordinary_user.chmod(0o700)
    assert opened("npu0pe0") == ["npu0pe0"]
    (ordinary_user / "state").chmod(0o500)
    assert opened("npu0pe0") == ["npu0pe0"]  # what it needs is there
    with pytest.raises(DeviceError, match=r"/npu0pe1.counters` .*Permission denied"):
        open_devices("npu0pe1")


def test_a_folder_that_is_removed_in_use_is_noticed(state_folder: Path) -> None:
    with open_devices("npu0pe0")[0] as device:
        shutil.rmtree(state_folder)
        device.charge(1, 1, 0)
        with pytest.raises(DeviceError, match="removed or replaced"):
            open_devices("npu0pe1")
        assert users() == {(0, 0): ("npu0pe0", os.getpid())}
    assert opened("npu0pe1") == ["npu0pe1"]
    (state_folder / "pe.lock").unlink()
    assert opened("npu0pe1") == ["npu0pe1"]


def test_a_full_disk_takes_no_device_and_leaves_nothing(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        if len(data) > 1:  # the lock file still fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(DeviceError, match="No space left on device"):
        open_devices("npu0pe0")
    monkeypatch.undo()
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(state_folder))
    assert [path.name for path in state_folder.iterdir()] == ["pe.lock"]
    assert users() == {}
    assert opened("npu0pe0") == ["npu0pe0"]


@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no `unshare`")
def test_a_really_full_disk(state_folder: Path) -> None:
    state_folder.mkdir()
    program = """
import os, sys
from pathlib import Path
from furiosa.isa.errors import DeviceError
from furiosa.npu_sim.devices import open_devices
Path(sys.argv[1], "filling").write_bytes(bytes(4096))
try:
    open_devices("npu0pe0-1")
except DeviceError as error:
    print(error)
Path(sys.argv[1], "filling").unlink()
print(open_devices("npu0pe0")[0].name)
"""
    # In a mount namespace of its own: nothing stays mounted, however this ends.
    script = 'mount -t tmpfs -o size=8k,mode=700 none "$1" || exit 77; exec "$2" -c "$3" "$1"'
    words = ["unshare", "--mount", "sh", "-c", script, "sh", state_folder, sys.executable, program]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode and "furiosa" not in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    full, name = done.stdout.splitlines()
    assert full.endswith("cannot be used: No space left on device")
    assert name == "npu0pe0"
