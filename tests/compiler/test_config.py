"""compiler_config: tuning options are accepted, unknown and wrong ones named, those that change results refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.compiler.quantized_nets import tiny

from furiosa.compiler import compile_model
from furiosa.compiler.config import read_config
from furiosa.isa.errors import FuriosaError, OptionError, UnsupportedError


def test_tuning_options_change_nothing() -> None:
    config: dict[str, object] = {
        "split_unit": 0,
        "allow_precision_error": False,
        "use_program_loading": True,
        "remove_lower": False,
    }
    config |= {
        "use_pdb": True,
        "split_policy": "MultiOperator",
        "max_operation_memory_ratio": 0.9,
        "target_pes": [0, 1],
    }
    assert compile_model(tiny(), config=config).enf == compile_model(tiny()).enf


@pytest.mark.parametrize(
    ("config", "kind", "message", "hint"),
    [
        ({"splt_unit": 0}, OptionError, "unknown compiler option `splt_unit`", "did you mean `split_unit`?"),
        ({"zzz": 0}, OptionError, "unknown compiler option `zzz`", "the options are "),
        ({1: 0}, OptionError, "unknown compiler option `1`", "the options are "),
        ({"split_unit": "2"}, OptionError, "compiler option `split_unit` must be int, not str", None),
        ({"split_unit": True}, OptionError, "compiler option `split_unit` must be int, not bool", None),
        ({"remove_lower": True}, UnsupportedError, "compiler option `remove_lower` is not supported", "leave the"),
    ],
)
def test_faults(config: dict[str, object], kind: type[FuriosaError], message: str, hint: str | None) -> None:
    with pytest.raises(kind, match=re.escape(message)) as caught:
        compile_model(tiny(), config=config)
    assert caught.value.hint is None if hint is None else str(caught.value.hint).startswith(hint)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: [1\n", "cannot read the compiler config"),
        (b"\xff\xfe\x00", "cannot read the compiler config"),
        (b"[" * 3000, "cannot read the compiler config"),
        (b"a: 9" + b"9" * 5000, "cannot read the compiler config"),
        (b"- 1\n", "is no mapping"),
        (b"!!python/object/apply:os.system ['true']", "cannot read the compiler config"),
    ],
)
def test_files_that_cannot_be_used(text: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text)
    with pytest.raises(OptionError, match=message) as caught:
        read_config(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("split_unit: 0\nremove_lower: false\n")
    assert read_config(path) == {"split_unit": 0, "remove_lower": False}
    path.write_text("")
    assert read_config(path) == {}
    for wrong in (tmp_path, tmp_path / "absent.yaml"):
        with pytest.raises(OptionError, match=re.escape(f"cannot read the compiler config `{wrong}`: ")):
            read_config(wrong)
