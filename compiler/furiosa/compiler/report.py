"""The compiler's report: placement, work, memory, and the modelled time of a compiled model."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a report that was made before is shown without the compiler, and without NumPy
    from furiosa.compiler.effort import Effort
    from furiosa.compiler.lir.program import Lir
    from furiosa.compiler.module import Module
    from furiosa.compiler.placement import Row

SCHEMA_VERSION = 1


def report(module: Module[Lir]) -> dict[str, Any]:
    """The report as plain data. Cycles and latency are modelled, of the NPU executing one batch."""
    from furiosa.compiler.boundaries import boundaries
    from furiosa.compiler.placement import hints
    from furiosa.isa.target import target
    from furiosa.isa.timeline import schedule

    npu = target(module.target)
    cycles = sum(schedule(program.instructions, npu).cycles for program in module.programs)
    instructions = [inst for program in module.programs for inst in program.instructions]
    moved = sum(_dram_bytes(inst) for inst in instructions)
    rows = json.loads(module.placement)
    return {
        "schema_version": SCHEMA_VERSION,
        "target": module.target,
        "batch_size": module.batch_size,
        "optimization": _optimization(module.effort),
        "macs": sum(inst.macs for inst in instructions),
        "npu_clusters": len(module.programs),
        "cpu_clusters": len(module.cpu_models),
        "npu_instructions": len(instructions),
        "npu_cycles": cycles,
        "npu_latency_us": round(npu.microseconds(cycles), 3),
        "sram_peak_bytes": max((program.sram_bytes for program in module.programs), default=0),
        "sram_bytes": npu.sram_bytes,
        "dram_bytes": moved,
        "boundaries": boundaries(module.tensors, module.steps, npu),
        "placement": rows,
        "hints": hints(rows),
    }


def _optimization(effort: Effort) -> dict[str, int]:
    """The level; where schedules were searched for, also how many of each program, and the seed."""
    searched = {"schedules": effort.budget, "seed": effort.seed} if effort.level > 1 else {}
    return {"level": effort.level, **searched}


def _dram_bytes(inst: object) -> int:
    from furiosa.isa.instructions import Load, Store

    if isinstance(inst, Load):
        return inst.dst.size
    return inst.src.size if isinstance(inst, Store) else 0


def render(values: dict[str, Any]) -> str:
    """The report as text for a terminal."""
    operators, *reasons = render_placement(values["placement"]).splitlines()
    optimization = ", ".join(f"{name} {value}" for name, value in values["optimization"].items())
    lines = [
        f"Target              : {values['target']}, batch size {values['batch_size']}",
        f"Optimization        : {optimization}",
        operators,
        f"Clusters            : {values['npu_clusters']} NPU, {values['cpu_clusters']} CPU",
        f"Work                : {values['macs'] / 1e6:,.1f} M MAC in {values['npu_instructions']} instructions",
        f"SRAM peak           : {values['sram_peak_bytes'] / 2**20:.2f} of {values['sram_bytes'] / 2**20:.0f} MiB",
        f"DRAM traffic        : {values['dram_bytes'] / 2**20:.2f} MiB",
        f"NPU time (modelled) : {values['npu_cycles']:,} cycles, {values['npu_latency_us']:,.1f} us",
        _render_borders(values["boundaries"]),
        *reasons,
    ]
    return "\n".join(lines) + "\n"


def _render_borders(rows: list[dict[str, Any]]) -> str:
    linked, hosted = (sum(row[key] for row in rows) / 2**20 for key in ("bytes", "host_bytes"))
    time = sum(row["link_us"] for row in rows)
    return (f"Host/NPU borders    : {len(rows)}, {linked:.2f} MiB over the link (modelled {time:,.1f} us), "
            f"{hosted:.2f} MiB through the host's layout steps")  # fmt: skip


def render_placement(rows: list[Row]) -> str:
    """Where the operators run, with the reasons, as text for a terminal."""
    devices = Counter(row["device"] for row in rows if row["reason_code"] != "boundary_layout")
    lines = [f"Operators           : {devices['npu']} on the NPU, {devices['cpu']} on the CPU"]
    reasons: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for row in rows:
        if row["device"] == "cpu" and row["reason_code"] != "boundary_layout":
            found = row["op"] if row["actual"] in ("", row["op"]) else f"{row['op']}: {row['actual']}"
            alike = reasons.setdefault((row["reason"], row["limit"], row["hint"]), {})
            alike.setdefault(found, []).append(row["node"])
    if reasons:
        lines += ["", "On the CPU:"]
    for (reason, limit, hint), operators in reasons.items():
        lines.append(f"  {reason}; limit: {limit}" if limit else f"  {reason}")
        lines += [f"  {len(nodes):4} x {found} ({nodes[0]}{', ...' if len(nodes) > 1 else ''})"
                  for found, nodes in operators.items()]  # fmt: skip
        lines += [f"    hint: {hint}"] if hint else []
    return "\n".join(lines) + "\n"
