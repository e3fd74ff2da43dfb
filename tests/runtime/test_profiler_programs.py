"""Profiling programs as they are written for the SDK run as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runtime.tiny_models import npu_model

from furiosa.isa import enf

SIMPLE = """
import numpy as np
from furiosa.runtime.profiler import profile
from furiosa.runtime.sync import create_runner

with open("mnist_trace.json", "w") as output:
    with profile(file=output) as profiler:
        with create_runner("mnist.enf") as runner:
            input_shape = runner.model.input(0).shape
            with profiler.record("warm up") as record:
                for _ in range(0, 2):
                    runner.run([np.random.uniform(0, 1, input_shape).astype(np.float32)])
            with profiler.record("trace") as record:
                for _ in range(0, 2):
                    runner.run([np.random.uniform(0, 1, input_shape).astype(np.float32)])
"""

TEMPORARY_DISABLE = """
import numpy as np
from furiosa.runtime.profiler import RecordFormat, profile
from furiosa.runtime.sync import create_runner

with profile(format=RecordFormat.PandasDataFrame) as profiler:
    with create_runner("mnist.enf") as runner:
        input_shape = runner.model.input(0).shape
        # Pause profiling during warmup
        profiler.pause()
        with profiler.record("warm up") as record:
            for _ in range(0, 10):
                runner.run([np.random.uniform(0, 1, input_shape).astype(np.float32)])
        # Resume profiling
        profiler.resume()
        with profiler.record("trace") as record:
            runner.run([np.random.uniform(0, 1, input_shape).astype(np.float32)])

df = profiler.get_pandas_dataframe()
assert len(df[df["name"] == "trace"]) == 1
assert len(df[df["name"] == "warm up"]) == 0
"""

TRACE_WITH_DATAFRAME = """
import numpy as np
from furiosa.runtime.profiler import RecordFormat, Resource, profile
from furiosa.runtime.sync import create_runner

with profile(resource=Resource.All, format=RecordFormat.PandasDataFrame) as profiler:
    with create_runner("mnist.enf") as runner:
        input_shape = runner.model.input(0).shape
        with profiler.record("record"):
            for _ in range(0, 2):
                runner.run([np.random.uniform(0, 1, input_shape).astype(np.float32)])

profiler.print_summary()
profiler.print_inferences()
profiler.print_npu_executions()
profiler.print_npu_operators()
profiler.print_external_operators()
df = profiler.get_pandas_dataframe()
cpu, npu = profiler.get_cpu_pandas_dataframe(), profiler.get_npu_pandas_dataframe()
assert len(cpu) + len(npu) + 1 == len(df)
print(df[df["name"] == "Quantize"][["trace_id", "span_id", "thread.id", "operator_index", "dur"]])
profiler.export_chrome_trace("exported.json")
"""

ASYNCHRONOUS = """
import asyncio
import numpy as np
from furiosa.runtime import create_runner
from furiosa.runtime.profiler import RecordFormat, profile

async def main():
    with profile(format=RecordFormat.PandasDataFrame) as profiler:
        async with create_runner("mnist.enf", worker_num=2) as runner:
            x = np.zeros(runner.model.input(0).shape, np.float32)

            async def task(name):
                with profiler.record(name):
                    await runner.run([x])

            await asyncio.gather(*(task(f"task {i}") for i in range(8)))
    return profiler.get_pandas_dataframe().set_index("span_id")

df = asyncio.run(main())
asked_by = {df.loc[parent, "name"] for parent in df[df["name"] == "Inference"]["parent_span_id"]}
assert asked_by == {f"task {i}" for i in range(8)}, asked_by
"""


def run(program: str, folder: Path) -> str:
    (folder / "mnist.enf").write_bytes(enf.dump(npu_model()))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("program", [TEMPORARY_DISABLE, ASYNCHRONOUS])
def test_programs_that_check_themselves(program: str, tmp_path: Path) -> None:
    run(program, tmp_path)


def test_simple(tmp_path: Path) -> None:
    run(SIMPLE, tmp_path)
    names = [event["name"] for event in json.loads((tmp_path / "mnist_trace.json").read_text())]
    assert [names.count(name) for name in ("warm up", "trace", "Inference")] == [2, 2, 8]


def test_trace_with_dataframe(tmp_path: Path) -> None:
    out = run(TRACE_WITH_DATAFRAME, tmp_path)
    assert out.splitlines()[3] == "Inference counts                : 2"
    assert out.count("┌") == out.count("╞") == out.count("└") == 4
    assert out.splitlines()[-1] == "Export trace event format completed."
    assert json.loads((tmp_path / "exported.json").read_text())
