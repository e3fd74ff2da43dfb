"""Models of services: loading, predicting, unloading, and what clients are told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from tests.compiler.quantized_nets import tiny
from tests.npu_sim.simulated_host import isolate

from furiosa.runtime.failures import FuriosaRuntimeError
from furiosa.runtime.sync import create_runner
from furiosa.server.model import FuriosaRTModel, ModelServerError, NPUModel, NPUModelConfig


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path / "state", monkeypatch)


def config(**options: object) -> NPUModelConfig:
    return NPUModelConfig(name="tiny", model=tiny(), **options)


def test_predictions_are_those_of_a_runner() -> None:
    with create_runner(tiny()) as runner:
        shape = runner.model.input(0).shape
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        expected = runner.run([x])

    async def main() -> None:
        model = NPUModel(config(worker_num=2))
        assert (model.name, model.version, model.ready) == ("tiny", None, False)
        assert await model.load()
        assert await model.load()
        assert model.ready
        answers = await asyncio.gather(model.predict(x), model.predict([x]), model.run([x]))
        for answer in answers:
            assert all(np.array_equal(a, b) for a, b in zip(answer, expected, strict=True))
        await model.unload()
        await model.unload()
        assert not model.ready

    asyncio.run(main())


def test_a_model_that_is_not_loaded_says_so() -> None:
    model = NPUModel(config())
    with pytest.raises(ModelServerError, match="`tiny` is not loaded"):
        asyncio.run(model.predict(np.zeros(1)))


def test_unloading_gives_the_device_back() -> None:
    async def main() -> None:
        first, second = NPUModel(config()), NPUModel(config())
        await first.load()
        with pytest.raises(FuriosaRuntimeError, match="cannot be served now"):
            await second.load()
        assert not second.ready
        await first.unload()
        await second.load()
        await second.unload()

    asyncio.run(main())


def test_loads_at_once_open_one_device() -> None:
    async def main() -> None:
        model = NPUModel(config())
        assert await asyncio.gather(*(model.load() for _ in range(5))) == [True] * 5
        await model.unload()

    asyncio.run(main())


def test_metadata_tells_the_interface_of_the_loaded_model() -> None:
    async def main() -> None:
        model = FuriosaRTModel(config(version="3"))
        assert await model.metadata() == {
            "name": "tiny", "versions": ["3"], "platform": "npu", "inputs": [], "outputs": [],
        }  # fmt: skip
        await model.load()
        inputs = (await model.metadata())["inputs"]
        await model.unload()
        assert [sorted(tensor) for tensor in inputs] == [["datatype", "name", "shape"]]
        assert inputs[0]["datatype"] == "FLOAT32"

    asyncio.run(main())
