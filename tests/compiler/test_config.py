"""compiler_config: every documented name has its type, unknown and wrong ones are named, tuning changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.compiler.quantized_nets import tiny

from furiosa.compiler import compile_model
from furiosa.compiler.config import check_config, read_config
from furiosa.isa.errors import FuriosaError, OptionError

DOCUMENTED: dict[str, object] = {
    "permute_input": [[0, 2, 3, 1]], "remove_lower": False, "remove_unlower": False, "allow_precision_error": True,
    "keep_unsignedness": True, "split_unit": 0, "sa_malloc": True, "tabulate_dequantize": True,
    "without_quantize": {"parameters": [{"input_min": 0.0, "input_max": 1.0, "permute": [0, 2, 3, 1]}]},
    "lower_tabulated_dequantize": True, "use_program_loading": True, "use_tensor_dma": True,
    "progress_mode": "ProgressBar", "use_loop_estimator": True, "estimator_mode": "accurate",
    "max_operation_memory_ratio": 0.9, "split_policy": "MultiOperator", "graph_lowering_scheme": "aggressive",
    "split_batch_lower_unlower": True, "max_num_partitioning_axes": 4, "allow_to_partition_last_axis": True,
    "use_hybrid_cast": True, "bail_on_split_failure": False, "optimize_external_operators": True,
    "optimize_lower_unlower": True, "dont_care_bridge_cost": False, "use_heuristic_lowering": True,
    "use_peak_memory_scheduler": True, "io_scheduling_mode": "Greedy", "no_weight_pinning": False,
    "no_buffer_sharing": False, "use_atrr_lifetime": True, "target_pes": [0, 1], "mimic_sync_io": False,
    "use_legacy_task_model": False, "use_subroutine": True, "disable_buffer_cache": False,
    "first_conv_to_matmul": True, "skip_split": False, "use_repartition_conv": True,
    "external_operators_to_mlir": True, "use_projection_shape": True, "skip_lower": False, "panic_on_pdb_miss": False,
    "use_repartition": True, "dump_in_nvp": False, "split_width_first": True, "permute_strides": True,
    "allow_rf_segment": True, "abs_static_dram_addr": True, "use_pdb": True, "ignore_default_pdb": False,
    "split_after_lower": True,
}  # fmt: skip
"""Every name that users' configurations have, with a value from one."""
CHANGING = ("permute_input", "without_quantize")


def test_what_only_tunes_changes_nothing() -> None:
    config = {name: value for name, value in DOCUMENTED.items() if name not in CHANGING}
    assert compile_model(tiny(), config=config).enf == compile_model(tiny()).enf
    assert compile_model(tiny(), config={"max_operation_memory_ratio": 1}).enf == compile_model(tiny()).enf


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_name_has_a_type(name: str) -> None:
    check_config({name: DOCUMENTED[name]})
    with pytest.raises(OptionError, match=f"compiler option `{name}` must be {type(DOCUMENTED[name]).__name__}, not"):
        check_config({name: None})
    with pytest.raises(OptionError, match=f"unknown compiler option `{name}s`") as caught:
        check_config({f"{name}s": DOCUMENTED[name]})
    assert caught.value.hint == f"did you mean `{name}`?"


@pytest.mark.parametrize(
    ("config", "kind", "message", "hint"),
    [
        ({"splt_unit": 0}, OptionError, "unknown compiler option `splt_unit`", "did you mean `split_unit`?"),
        ({"zzz": 0}, OptionError, "unknown compiler option `zzz`", "the options are "),
        ({1: 0}, OptionError, "unknown compiler option `1`", "the options are "),
        ({"split_unit": "2"}, OptionError, "compiler option `split_unit` must be int, not str", None),
        ({"split_unit": True}, OptionError, "compiler option `split_unit` must be int, not bool", None),
        ({"remove_lower": 1}, OptionError, "compiler option `remove_lower` must be bool, not int", None),
        ({"optimization_level": 3}, OptionError, "`optimization_level` must be from 0 to 2, not 3", None),
        ({"search_budget": -1}, OptionError, "`search_budget` must be from 0 to ", None),
        ({"search_seed": 1.0}, OptionError, "`search_seed` must be int, not float", None),
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
