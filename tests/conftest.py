"""What all tests share: golden files and a deterministic hypothesis."""

from __future__ import annotations

import atexit
import difflib
import os
import shutil
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import settings

os.environ["FC_CACHE_ENABLED"] = "0"  # a test sees the compiler work, and leaves the user's cache alone

# Each worker of the test-suite has a host of its own: no test waits for, or disturbs, the devices of another.
os.environ["FURIOSA_SIM_STATE_DIR"] = tempfile.mkdtemp(prefix="furiosa-sim-tests-")
atexit.register(shutil.rmtree, os.environ["FURIOSA_SIM_STATE_DIR"], ignore_errors=True)

settings.register_profile("furiosa", derandomize=True, deadline=None, max_examples=50, database=None)
settings.load_profile("furiosa")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what the tests produce into the golden files")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Called with a path and a text: fails with a diff unless the file holds exactly this text.

    The path is relative to the folder of the test's file. With ``--update-golden`` the file is written instead.
    """
    folder = request.path.parent
    update = request.config.getoption("--update-golden")

    def compare(path: str, text: str) -> None:
        file = folder / path
        if update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            return
        if not file.exists():
            pytest.fail(f"no golden file {file}: write it with `pytest --update-golden`", pytrace=False)
        expected = file.read_text(encoding="utf-8")
        if text != expected:
            diff = difflib.unified_diff(expected.splitlines(), text.splitlines(), path, "produced", lineterm="")
            pytest.fail("\n".join([*diff, "", "if this is right: `pytest --update-golden`"]), pytrace=False)

    return compare
