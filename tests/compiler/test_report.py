"""The report, its table and the placement rows."""

from __future__ import annotations

import re

import pytest
from tests.compiler.quantized_nets import floats, mixed, resnet, tiny

from furiosa.compiler import compile_model
from furiosa.compiler.report import render, render_placement

KEYS = {
    "schema_version": int, "target": str, "batch_size": int, "optimization": dict, "macs": int, "npu_clusters": int,
    "cpu_clusters": int, "npu_instructions": int, "npu_cycles": int, "npu_latency_us": float, "sram_peak_bytes": int,
    "sram_bytes": int, "dram_bytes": int, "boundaries": list, "placement": list, "hints": list,
}  # fmt: skip
ROW = ("node", "op", "device", "reason_code", "reason", "actual", "limit", "hint")


@pytest.mark.parametrize("model", [tiny, mixed, resnet, floats])
def test_keys_and_types(model: object) -> None:
    assert callable(model)
    report = compile_model(model()).report
    assert {key: type(value) for key, value in report.items()} == KEYS
    for row in report["placement"]:
        assert tuple(row) == ROW
        assert all(isinstance(value, str) for value in row.values())
        assert row["device"] in ("npu", "cpu")
        border = row["op"] in ("Lower", "Unlower")
        assert bool(row["reason"]) == bool(row["reason_code"]) == (border or row["device"] == "cpu")


def test_the_optimization_is_told() -> None:
    config = {"optimization_level": 2, "search_budget": 3, "search_seed": 7}
    for level, want in ((0, {"level": 0}), (1, {"level": 1}), (2, {"level": 2, "schedules": 3, "seed": 7})):
        report = compile_model(tiny(), config=config | {"optimization_level": level}).report
        assert report["optimization"] == want
    assert "\nOptimization        : level 2, schedules 3, seed 7\n" in render(report)
    assert compile_model(tiny()).report["optimization"] == {"level": 1}


def test_latency_is_cycles_at_two_gigahertz() -> None:
    report = compile_model(resnet()).report
    assert report["npu_latency_us"] == pytest.approx(report["npu_cycles"] / 2000, abs=1e-3)


def test_every_node_of_the_model_has_one_row() -> None:
    """Nodes of the model that compute, by name; Quantize and Dequantize nodes inside the NPU part are types."""
    rows = compile_model(mixed()).report["placement"]
    assert len({row["node"] for row in rows}) == len(rows)
    operators = [row["op"] for row in rows if row["reason_code"] != "boundary_layout"]
    assert sorted(operators) == ["Conv", "Conv", "Relu", "Relu", "Sin"]
    (sine,) = (row for row in rows if row["op"] == "Sin")
    assert (sine["device"], sine["reason_code"]) == ("cpu", "no_lowering")
    assert "has no NPU lowering" in sine["reason"]


def test_table() -> None:
    text = render(compile_model(mixed(), target="warboy").report)
    table, _, reasons = re.sub(r"\d[\d,.]*", "#", text).partition("\nOn the CPU:\n")
    assert reasons == (
        "  `Sin` has no NPU lowering; limit: the operators of the table\n"
        "     # x Sin (Sin#)\n"
        "    hint: keep it on the CPU: quantize what lies before and after, so that the NPU gets those parts\n"
    )
    assert table == (
        "Target              : warboy, batch size #\n"
        "Optimization        : level #\n"
        "Operators           : # on the NPU, # on the CPU\n"
        "Clusters            : # NPU, # CPU\n"
        "Work                : # M MAC in # instructions\n"
        "SRAM peak           : # of # MiB\n"
        "DRAM traffic        : # MiB\n"
        "NPU time (modelled) : # cycles, # us\n"
        "Host/NPU borders    : # # MiB over the link (modelled # us), # MiB through the host's layout steps\n"
    )
    assert "Operators           : 4 on the NPU, 1 on the CPU\n" in text


def test_a_model_without_npu_part_has_a_report_too() -> None:
    report = compile_model(floats()).report
    assert (report["npu_clusters"], report["npu_cycles"], report["macs"], report["cpu_clusters"]) == (0, 0, 0, 1)
    assert "0 on the NPU, 1 on the CPU" in render(report)


def test_operators_with_one_reason_stand_together() -> None:
    reason = {"device": "cpu", "reason_code": "c", "reason": "must hold", "limit": "4", "hint": "do this"}
    found = [("a", "Conv", "5"), ("b", "Relu", ""), ("c", "Conv", "5"), ("d", "Conv", "6")]
    rows = [{"node": node, "op": op, "actual": actual, **reason} for node, op, actual in found]
    assert render_placement(rows).split("On the CPU:\n")[1] == (
        "  must hold; limit: 4\n     2 x Conv: 5 (a, ...)\n     1 x Relu (b)\n     1 x Conv: 6 (d)\n    hint: do this\n"
    )


def test_borders() -> None:
    """What goes to the NPU and back: bytes, the time on the link, and what the host does beside it."""
    rows = compile_model(tiny(), target="warboy").report["boundaries"]
    assert [row["direction"] for row in rows] == ["to_npu", "from_npu"]
    for row, steps in zip(rows, (["Quantize", "Lower"], ["Unlower", "Dequantize"])):
        assert row["host_steps"] == steps
        assert row["host_bytes"] == 7 * row["bytes"]  # float32 and integers on one side, integers twice on the other
        assert row["link_us"] == pytest.approx(row["bytes"] / 12_000, abs=1e-3)


def test_hints() -> None:
    report = compile_model(mixed()).report
    operators = [row["op"] for row in report["placement"] if row["reason_code"] != "boundary_layout"]
    (hint,) = report["hints"]
    index = operators.index("Sin")
    assert hint.startswith(f"Hint [{index}]: 'Sin' cannot be accelerated yet; keep it on the CPU")
