"""What makes a bug report with a model run again elsewhere: REPLAY.md for people and replay.sh for the shell."""

from __future__ import annotations

MODEL = "model/model.onnx"

# They decide where and how a model runs, and are private to the computer that they are set on.
_UNSET = "FURIOSA_DEVICES NPU_DEVNAME NPU_COMPILER_CONFIG_PATH FURIOSA_SIM_CONFIG FURIOSA_PROFILER_OUTPUT_PATH"

_SCRIPT = """\
#!/bin/sh
# Repeats the run of this archive. Expected: exit status {status}.
cd "$(dirname "$0")" || exit 2
unset {unset}
if command -v furiosa-litmus >/dev/null 2>&1; then
  exec furiosa-litmus {arguments} "$@" {model}
fi
exec python3 -m furiosa.litmus {arguments} "$@" {model}
"""

_TEXT = """\
# Replay

Unpack the archive anywhere, install furiosa-sim {version}, and run in this folder:

    sh replay.sh

Expected: exit status {status}.

    {verdict}

The script runs `furiosa-litmus {arguments} {model}`; more options may follow it, such as `sh replay.sh --format json`.
{weights}
It unsets {unset},
which this archive does not tell. Not repeated: other processes that occupied devices, memory or disk.
"""

_WEIGHTS = {
    "full": "The model is whole, without its descriptions.",
    "structure": "The model has no weights: random ones of the same shapes, types, mean, deviation and extremes are\n"
    "made from a seed when it is loaded, equal on every computer. Only furiosa-litmus reads such a file.",
}


def replay_files(kind: str, target: str, skip: bool, status: int, verdict: str) -> dict[str, str]:
    """The files by name. ``kind`` says what was done to the model, ``verdict`` and ``status`` how the run ended."""
    from furiosa.isa.version import VERSION

    arguments = f"{'--skip-quantization ' if skip else ''}--target-npu {target}"
    parts = {
        "status": status, "verdict": verdict, "arguments": arguments, "model": MODEL, "unset": _UNSET,
        "weights": _WEIGHTS[kind], "version": VERSION,
    }  # fmt: skip
    return {"REPLAY.md": _TEXT.format(**parts), "replay.sh": _SCRIPT.format(**parts)}
