"""compiler_config: the options of the SDK's compiler by name, with what this compiler does about each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from furiosa.compiler.effort import LEVELS
from furiosa.isa.errors import OptionError, did_you_mean

INTERFACE: dict[str, type] = {
    "permute_input": list, "without_quantize": dict, "remove_lower": bool, "remove_unlower": bool,
    "keep_unsignedness": bool,
}  # fmt: skip
"""What changes the inputs and results of a model, and the steps of the host at them."""
_SEARCH: dict[str, type] = {"optimization_level": int, "search_budget": int, "search_seed": int}
_RANGES = {"optimization_level": (0, LEVELS[-1]), "search_budget": (0, 2**31), "search_seed": (0, 2**31)}
_TUNING: dict[str, type] = {
    "allow_precision_error": bool, "split_unit": int, "sa_malloc": bool, "tabulate_dequantize": bool,
    "lower_tabulated_dequantize": bool, "use_program_loading": bool, "use_tensor_dma": bool, "progress_mode": str,
}  # fmt: skip
# Of the SDK compiler's inner workings, as public configurations set them.
_INNER: dict[str, type] = dict.fromkeys((
    "abs_static_dram_addr", "allow_rf_segment", "allow_to_partition_last_axis", "bail_on_split_failure",
    "disable_buffer_cache", "dont_care_bridge_cost", "dump_in_nvp", "external_operators_to_mlir",
    "first_conv_to_matmul", "ignore_default_pdb", "mimic_sync_io", "no_buffer_sharing", "no_weight_pinning",
    "optimize_external_operators", "optimize_lower_unlower", "panic_on_pdb_miss", "permute_strides", "skip_lower",
    "skip_split", "split_after_lower", "split_batch_lower_unlower", "split_width_first", "use_atrr_lifetime",
    "use_heuristic_lowering", "use_hybrid_cast", "use_legacy_task_model", "use_loop_estimator", "use_pdb",
    "use_peak_memory_scheduler", "use_projection_shape", "use_repartition", "use_repartition_conv", "use_subroutine",
), bool) | dict.fromkeys(("estimator_mode", "graph_lowering_scheme", "io_scheduling_mode", "split_policy"), str) | {
    "max_num_partitioning_axes": int, "max_operation_memory_ratio": float, "target_pes": list,
}  # fmt: skip


def check_config(config: Mapping[str, object]) -> None:
    """Accept options that only tune the vendor's compiler, which have no effect here, and those that work.

    ``permute_input`` and ``without_quantize`` are checked against the model when that is read.
    Raises OptionError for an unknown name (with the nearest known one) or a value of the wrong type.
    """
    known = INTERFACE | _SEARCH | _TUNING | _INNER
    for name, value in config.items():
        if name not in known:
            options = ", ".join(sorted(INTERFACE | _SEARCH | _TUNING))
            hint = did_you_mean(name, known) or f"the options are {options}"
            raise OptionError(f"unknown compiler option `{name}`", hint=hint)
        if type(value) is not known[name] and (known[name], type(value)) != (float, int):
            raise OptionError(f"compiler option `{name}` must be {known[name].__name__}, not {type(value).__name__}")
        least, most = _RANGES.get(name, (0, 0))
        if name in _RANGES and isinstance(value, int) and not least <= value <= most:
            raise OptionError(f"compiler option `{name}` must be from {least} to {most}, not {value}")
    if config.get("remove_lower") and config.get("permute_input") is not None:
        raise OptionError("compiler options `remove_lower` and `permute_input` exclude each other: an input in the "
                          "NPU's layout has no axes to permute", hint="leave `permute_input` out")  # fmt: skip


def read_config(path: Path) -> dict[str, Any]:
    """The options in a YAML file. Raises OptionError naming the file when it cannot be used."""
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(path, error.strerror) from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise _unreadable(path, " ".join(str(error).split())) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise OptionError(f"the compiler config `{path}` is no mapping", hint="write `option: value` lines")
    return value


def _unreadable(path: Path, reason: str | None) -> OptionError:
    return OptionError(f"cannot read the compiler config `{path}`: {reason}",
                       hint="it must be a YAML mapping of option names to values")  # fmt: skip
