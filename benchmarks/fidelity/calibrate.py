"""How far modelled times are from published ones, and the constants of `isa/targets/warboy.toml` that fit them best.

    python benchmarks/fidelity/calibrate.py FOLDER [--fit] [--folds [network|family]] [--without TERM] [--json]

FOLDER holds `anchors.json` and the networks that it names. Without options: the errors of the constants as they stand.
`--fit` searches better ones. `--folds` leaves out one network after the other: it is predicted with constants that were
fitted to the others, from the same start; or one family of networks after the other. `--without` takes a term out of
the model, which says what that is worth. No constant belongs to a network.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from anchors import Anchors, Breakdown, Figure, Program, Programs, clusters, compiled, modelled_classes_us, modelled_us
from furiosa.isa.errors import FuriosaError
from furiosa.isa.target import Target, target

CALIBRATED = (
    "broadcast_bytes_per_cycle", "exchange_bytes_per_cycle", "spread_bytes_per_cycle", "conv_start_cycles",
    "window_start_cycles", "dma_setup_cycles",
)  # fmt: skip
NPUS = ("warboy", "warboy-2pe")
_START = {
    "broadcast_bytes_per_cycle": 32, "exchange_bytes_per_cycle": 8, "spread_bytes_per_cycle": 8,
    "conv_start_cycles": 2400, "window_start_cycles": 1500, "dma_setup_cycles": 1000,
}  # fmt: skip
_ITERATIONS = 9
_STEP = 0.02
_RIDGE = 1e-6
_NONE = 10**9
TERMS: Mapping[str, Mapping[str, float]] = {
    "gather": {"gather_cycles": 0}, "broadcast": {"broadcast_bytes_per_cycle": _NONE},
    "exchange": {"exchange_bytes_per_cycle": _NONE}, "spread": {"spread_bytes_per_cycle": _NONE},
}  # fmt: skip
"""The terms that no published source names, and what takes them out of the model."""

Constants = Mapping[str, float]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Errors:
    """Modelled over published, less 1: of times, of an operator class, and of the gain from fusing two PEs."""

    times: dict[Figure, float]
    classes: dict[tuple[str, str], float]
    gains: dict[str, float]

    @property
    def every(self) -> tuple[list[float], list[float], list[float]]:
        return list(self.times.values()), list(self.classes.values()), list(self.gains.values())


def errors(anchors: Anchors, programs: Programs, constants: Constants, networks: Collection[str]) -> Errors:
    """The errors of these networks with these constants."""
    npus = {name: replace(target(name), **cast(Any, constants)) for name in NPUS}
    times = {f: _time(f, programs, npus) / f.published_us - 1 for f in anchors.figures if f.network in networks}
    classes: dict[tuple[str, str], float] = {}
    for item in anchors.breakdowns:
        if item.network in networks:
            classes |= _classes(item, programs, npus)
    latencies = {(f.network, f.npu): 1 + error for f, error in times.items() if f.metric == "npu_latency"}
    gains = {
        network: error / latencies[network, "warboy-2pe"] - 1
        for (network, npu), error in latencies.items() if npu == "warboy" and (network, "warboy-2pe") in latencies
    }  # fmt: skip
    return Errors(times, classes, gains)


def _time(figure: Figure, programs: Programs, npus: Mapping[str, Target]) -> float:
    return modelled_us(programs[figure.network, figure.npu], npus[figure.npu], figure.run)


def _classes(item: Breakdown, programs: Programs, npus: Mapping[str, Target]) -> dict[tuple[str, str], float]:
    modelled = modelled_classes_us(programs[item.network, item.npu], npus[item.npu])
    return {(item.network, name): modelled[name] / us - 1 for name, us in item.classes.items()}


def residuals(found: Errors) -> Floats:
    """All errors as one vector; classes and gains together weigh as much as the times."""
    parts = [np.array(values) * (weight / max(1, len(values))) ** 0.5
             for weight, values in zip((1.0, 0.5, 0.5), found.every)]  # fmt: skip
    return np.concatenate(parts)


def fit(of: Callable[[Constants], Errors], start: Constants) -> Constants:
    """The constants with the least squares (Levenberg-Marquardt on their logarithms), then rounded."""
    names = list(start)
    ridge = _RIDGE * np.eye(len(names))

    def at(point: Floats) -> Floats:
        return residuals(of(dict(zip(names, np.exp(point).tolist()))))

    point = np.log(np.array([float(start[name]) for name in names]))
    now, damping = at(point), 0.1
    for _ in range(_ITERATIONS):
        slopes = np.stack([(at(point + step) - now) / _STEP for step in _STEP * np.eye(len(names))], axis=1)
        square = slopes.T @ slopes
        tried = point - np.linalg.solve(square + damping * (np.diag(np.diag(square)) + ridge), slopes.T @ now)
        after = at(tried)
        if after @ after < now @ now:
            point, now, damping = tried, after, damping / 3
        else:
            damping *= 4
    return _rounded(of, dict(zip(names, np.exp(point).tolist())))


def _rounded(of: Callable[[Constants], Errors], constants: Constants) -> Constants:
    """The constants one after the other as an integer of two digits: of the two around it, the one that fits better."""
    best = dict(constants)
    for name, value in constants.items():
        unit = 10 ** max(0, len(str(int(value))) - 2)
        around = [max(unit, int(value // unit) * unit), int(value // unit + 1) * unit]
        best = min(({**best, name: rounded} for rounded in around), key=lambda tried: _squares(of(tried)))
    return best


def _squares(found: Errors) -> float:
    return float(residuals(found) @ residuals(found))


def report(anchors: Anchors, found: Errors, out_of_fold: Mapping[Figure, float]) -> dict[str, Any]:
    """The errors as plain data."""
    rows = [{**asdict(f), "modelled_us": round(f.published_us * (1 + e), 3), "error": round(e, 4)}
            | ({"out_of_fold": round(out_of_fold[f], 4)} if f in out_of_fold else {})
            for f, e in found.times.items()]  # fmt: skip
    return {
        "times": rows, "time_errors": _summary(list(found.times.values())),
        "out_of_fold_errors": _summary(list(out_of_fold.values())),
        "classes": [{"network": n, "class": c, "error": round(e, 4)} for (n, c), e in found.classes.items()],
        "gains": [{"network": n, "error": round(e, 4)} for n, e in found.gains.items()],
    }  # fmt: skip


def _summary(values: Sequence[float]) -> dict[str, float]:
    sizes = [abs(value) for value in values]
    return {"mean": round(mean(sizes), 4), "worst": round(max(sizes), 4)} if sizes else {}


def show(data: Mapping[str, Any]) -> None:
    """The report for people."""
    for row in data["times"]:
        fold = f" {row['out_of_fold']:+8.1%}" if "out_of_fold" in row else ""
        print(f"{row['network']:20} {row['npu']:10} {row['metric']:12} {row['published_us']:10.1f} us published"
              f" {row['modelled_us']:10.1f} us modelled {row['error']:+8.1%}{fold}")  # fmt: skip
    for name in ("time_errors", "out_of_fold_errors"):
        if data[name]:
            print(f"{name.replace('_', ' ')}: mean {data[name]['mean']:.1%}, worst {data[name]['worst']:.1%}")
    for row in data["classes"]:
        print(f"{row['network']:20} {row['class']:24} {row['error']:+.1%}")
    for row in data["gains"]:
        print(f"{row['network']:20} gain from fusing two PEs {row['error']:+.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="anchors.json and the networks that it names")
    parser.add_argument("--fit", action="store_true", help="search the constants that fit best, and print them")
    parser.add_argument("--folds", nargs="?", const="network", choices=("network", "family"),
                        help="also predict each network, or each family of them, from the others")  # fmt: skip
    parser.add_argument("--without", choices=sorted(TERMS), help="take this term out of the model")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    anchors = Anchors.read(options.folder)
    programs = _programs(anchors)
    networks = sorted({network for network, _ in programs})
    fixed = TERMS[options.without] if options.without else {}
    start = {name: value for name, value in _START.items() if name not in fixed}

    def of(constants: Constants, networks: Collection[str]) -> Errors:
        return errors(anchors, programs, {**constants, **fixed}, networks)

    constants: Constants = {name: getattr(target("warboy"), name) for name in start}
    if options.fit:
        constants = fit(partial(of, networks=networks), start)
        print("\n".join(f"{name} = {value}" for name, value in constants.items()), file=sys.stderr)
    folds: dict[Figure, float] = {}
    for left_out in groups(anchors, networks, options.folds) if options.folds else ():
        others = fit(partial(of, networks=[n for n in networks if n not in left_out]), start)
        folds |= of(others, left_out).times
    data = {"constants": dict(constants)} | report(anchors, of(constants, networks), folds)
    if options.json:
        print(json.dumps(data, indent=1))
    else:
        show(data)


def groups(anchors: Anchors, networks: Sequence[str], by: str) -> list[list[str]]:
    """Networks that are left out together: each by itself, or its family.

    That is its name up to the first digit; networks with published operators are one family, as they tell the floors.
    """
    itemised = {item.network for item in anchors.breakdowns}
    found: dict[str, list[str]] = {}
    for network in networks:
        family = "" if network in itemised else re.sub(r"(\d).*", r"\1", network)
        found.setdefault(family if by == "family" else network, []).append(network)
    return list(found.values())


def _programs(anchors: Anchors) -> Programs:
    """Every network that the compiler reads, on every NPU; the others are named on stderr."""
    found: dict[tuple[str, str], tuple[Program, ...]] = {}
    for network, path in anchors.paths.items():
        try:
            parts = clusters(path)
        except FuriosaError as error:
            print(f"left out `{network}`: {error}", file=sys.stderr)
            continue
        found |= {(network, npu): compiled(parts, target(npu)) for npu in NPUS}
    return found


if __name__ == "__main__":
    main()
