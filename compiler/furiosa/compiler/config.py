"""compiler_config: the options of the SDK's compiler by name, with what this compiler does about each."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from furiosa.isa.errors import OptionError, UnsupportedError

_LATER = "it changes the model's interface, which this version cannot do"
_CHANGES: dict[str, type] = {
    "permute_input": list, "remove_lower": bool, "remove_unlower": bool, "without_quantize": dict,
    "keep_unsignedness": bool,
}  # fmt: skip
_TUNING: dict[str, type] = {
    "allow_precision_error": bool, "split_unit": int, "sa_malloc": bool, "tabulate_dequantize": bool,
    "lower_tabulated_dequantize": bool, "use_program_loading": bool, "use_tensor_dma": bool, "progress_mode": str,
}  # fmt: skip


def check_config(config: Mapping[str, object]) -> None:
    """Accept options that only tune the vendor's compiler; they have no effect here.

    Raises OptionError for an unknown name (with the nearest known one) or a value of the wrong type, and
    UnsupportedError for options that would change results and are not built.
    """
    known = _CHANGES | _TUNING
    for name, value in config.items():
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"the options are {', '.join(sorted(known))}"
            raise OptionError(f"unknown compiler option `{name}`", hint=hint)
        if type(value) is not known[name]:
            raise OptionError(f"compiler option `{name}` must be {known[name].__name__}, not {type(value).__name__}")
        if name in _CHANGES and value:
            raise UnsupportedError(f"compiler option `{name}` is not supported: {_LATER}", hint="leave the option out")


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
