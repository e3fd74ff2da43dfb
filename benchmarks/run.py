"""All benchmarks, one after the other, and at the end what is promised of their ratios and whether it holds.

    python benchmarks/run.py [inference memory ...] [--results build/bench/results] [--check] [--rounds 1 ...]

Results are kept in a folder as JSON and as tables. Without names the folder is emptied first; with names only those
benchmarks run, and the last table covers what others left there. Options that are not its own go to every benchmark.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from claims import broken, verdicts
from report import CLAIM_COLUMNS, column, machine, table

BENCHMARKS = (
    "networks",
    "start_up",
    "compile_time",
    "tflite_compile",
    "cache_hits",
    "host_steps",
    "clocks",
    "kernels",
    "batches",
    "queues",
    "pace",
    "memory",
    "calibration",
    "inference",
)
RESULTS = Path("build/bench/results")


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("benchmarks", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"default: {RESULTS}")
    parser.add_argument("--check", action="store_true", help="exit with status 1 unless all claims hold")
    options, others = parser.parse_known_args()
    if unknown := set(options.benchmarks) - set(BENCHMARKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(BENCHMARKS)}")
    if not options.benchmarks:
        shutil.rmtree(options.results, ignore_errors=True)
    options.results.mkdir(parents=True, exist_ok=True)
    show("machine", _machine(), options.results)
    failed = [name for name in options.benchmarks or BENCHMARKS if not run(name, options.results, others)]
    claims = verdicts(measured(options.results))
    show("claims", table(CLAIM_COLUMNS, claims), options.results)
    for name in failed:
        print(f"{name} failed", file=sys.stderr)
    return 1 if failed or (options.check and broken(claims)) else 0


def run(name: str, results: Path, options: Sequence[str]) -> bool:
    """Run one benchmark; False when it fails."""
    print(f"\n## {name}\n", flush=True)
    script = Path(__file__).with_name(f"{name}.py")
    return subprocess.run([sys.executable, script, "--save", results, *options], check=False).returncode == 0


def measured(results: Path) -> dict[str, float]:
    """The ratios of all results in the folder."""
    found: dict[str, float] = {}
    for path in sorted(results.glob("*.json")):
        found |= json.loads(path.read_text(encoding="utf-8"))["ratios"]
    return found


def show(name: str, text: str, results: Path) -> None:
    """Print a table and keep it."""
    print(f"\n## {name}\n\n{text}", flush=True)
    (results / f"{name}.md").write_text(f"{text}\n", encoding="utf-8")


def _machine() -> str:
    facts = {name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in machine().items()}
    rows = [{"fact": name.replace("_", " "), "value": value} for name, value in facts.items()]
    return table([column("fact", "this computer"), column("value")], rows)


if __name__ == "__main__":
    sys.exit(main())
