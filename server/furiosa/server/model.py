"""A model for asyncio programs: ``await model.load()``, ``await model.predict(image)``, ``await model.unload()``.

>>> from furiosa.server.model import NPUModel, NPUModelConfig
>>> model = NPUModel(NPUModelConfig(name="MNIST", model="mnist.onnx"))  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.errors import FuriosaError
from furiosa.runtime import Runner, create_runner

Array = NDArray[Any]


class ModelServerError(FuriosaError, RuntimeError):
    """A model was used before it was loaded, or after it was unloaded."""


@dataclass(frozen=True)
class ModelConfig:
    """What every model has: its name, and what a service tells its clients about it."""

    name: str
    version: str | None = None
    description: str | None = None
    platform: str = "npu"
    versions: Sequence[str] = field(default_factory=list)
    inputs: Sequence[Any] = field(default_factory=list)
    outputs: Sequence[Any] = field(default_factory=list)


@dataclass(frozen=True)
class FuriosaRTModelConfig(ModelConfig):
    """A model for the NPU: a path or the bytes of an ENF, ONNX or TFLite file, and how sessions create it.

    ``npu_device`` is a device specification such as ``warboy(2)*1``; several devices make a pool.
    """

    _: KW_ONLY
    model: str | bytes
    npu_device: str | None = None
    batch_size: int | None = None
    worker_num: int | None = None
    compiler_config: Mapping[str, object] | None = field(default=None)


class Model(ABC):
    """A named model that can be loaded, asked, and unloaded."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config

    @property
    def name(self) -> str:
        """Its name."""
        return self._config.name

    @property
    def version(self) -> str | None:
        """Its version, when it has one."""
        return self._config.version

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether it is loaded."""

    @abstractmethod
    async def load(self) -> bool:
        """Load it; loading twice is harmless. True when it is ready."""

    @abstractmethod
    async def unload(self) -> None:
        """Give back what it holds; unloading twice is harmless."""

    @abstractmethod
    async def predict(self, payload: Array | Sequence[Array]) -> list[Array]:
        """One inference."""

    async def metadata(self) -> dict[str, Any]:
        """What a service tells about the model: ``name``, ``versions``, ``platform``, ``inputs``, ``outputs``."""
        config = self._config
        versions = list(config.versions) or ([config.version] if config.version else [])
        return {"name": config.name, "versions": versions, "platform": config.platform,
                "inputs": list(config.inputs), "outputs": list(config.outputs)}  # fmt: skip


class FuriosaRTModel(Model):
    """A model on NPUs. Several predictions may be awaited at once; workers execute them."""

    def __init__(self, config: FuriosaRTModelConfig) -> None:
        super().__init__(config)
        self._npu = config
        self._runner: Runner | None = None
        self._changing = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether it is loaded."""
        return self._runner is not None

    @property
    def runner(self) -> Runner:
        """The runner of the loaded model. Raises ModelServerError before ``load`` and after ``unload``."""
        if self._runner is None:
            raise ModelServerError(f"model `{self.name}` is not loaded", hint="`await model.load()` first")
        return self._runner

    async def load(self) -> bool:
        """Open the devices and load the model, compiling it first when it is no ENF. Raises FuriosaRuntimeError."""
        async with self._changing:
            if self._runner is None:
                self._runner = await create_runner(
                    self._npu.model,
                    device=self._npu.npu_device,
                    worker_num=self._npu.worker_num,
                    batch_size=self._npu.batch_size,
                    compiler_config=self._npu.compiler_config,
                )
        return True

    async def unload(self) -> None:
        """Wait for running predictions and give the devices back."""
        async with self._changing:
            runner, self._runner = self._runner, None
            if runner is not None:
                await runner.close()

    async def predict(self, payload: Array | Sequence[Array]) -> list[Array]:
        """One inference of an array, or of a list of arrays in the model's order. Errors are those of ``Runner.run``.

        Raises ModelServerError when the model is not loaded.
        """
        return await self.runner.run(payload)

    async def run(self, inputs: Array | Sequence[Array]) -> list[Array]:
        """The same as ``predict``."""
        return await self.predict(inputs)

    async def metadata(self) -> dict[str, Any]:
        """As in ``Model``; inputs and outputs are those of the loaded model where the configuration names none."""
        found = await super().metadata()
        if self._runner is not None:
            model = self._runner.model
            for key, tensors in (("inputs", model.inputs()), ("outputs", model.outputs())):
                found[key] = found[key] or [
                    {"name": t.name, "datatype": np.dtype(t.numpy_dtype).name.upper(), "shape": list(t.shape)}
                    for t in tensors
                ]
        return found


NPUModel = FuriosaRTModel
NPUModelConfig = FuriosaRTModelConfig
