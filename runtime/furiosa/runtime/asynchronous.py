"""Asynchronous API: ``async with create_runner(model) as runner: outputs = await runner.run(inputs)``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from furiosa.runtime import sync
from furiosa.runtime.arguments import Tensor, TensorArray
from furiosa.runtime.compilation import ModelSource
from furiosa.runtime.interface import Model

T = TypeVar("T", bound="Runner")


class Creation(Generic[T]):
    """Something being created: ``await`` it, or use it in ``async with``. Work happens off the event loop."""

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._created: T | None = None

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.to_thread(self._create).__await__()

    async def __aenter__(self) -> T:
        self._created = await self
        return self._created

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._created is not None:
            sync.warn_unless_closed(await self._created.close())


class Runner:
    """A loaded model; several runs may be awaited at once. Errors are those of ``sync.Runner``."""

    def __init__(self, runner: sync.Runner) -> None:
        self._runner = runner

    @property
    def model(self) -> Model:
        """The model's interface."""
        return self._runner.model

    async def run(self, inputs: TensorArray) -> list[NDArray[Any]]:
        """One inference."""
        return await asyncio.to_thread(self._runner.run, inputs)

    async def run_with(self, outputs: Sequence[str], inputs: Mapping[str, Tensor]) -> list[NDArray[Any]]:
        """One inference with tensors by name."""
        return await asyncio.to_thread(self._runner.run_with, outputs, inputs)

    async def close(self) -> bool:
        """Wait for running inferences and give the devices back; True when closed in time."""
        return await asyncio.to_thread(self._runner.close)

    async def __aenter__(self) -> Runner:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sync.warn_unless_closed(await self.close())


class Runtime:
    """A set of opened devices on which runners are created."""

    def __init__(self, device: str | None = None) -> None:
        """Open the devices. Raises FuriosaRuntimeError when they are absent or in use."""
        self._runtime = sync.Runtime(device)

    def create_runner(
        self,
        model: ModelSource,
        *,
        worker_num: int | None = None,
        batch_size: int | None = None,
        compiler_config: Mapping[str, object] | None = None,
    ) -> Creation[Runner]:
        """Load a model; to be awaited. Raises FuriosaRuntimeError."""
        return Creation(
            lambda: Runner(
                self._runtime.create_runner(
                    model, worker_num=worker_num, batch_size=batch_size, compiler_config=compiler_config
                )
            )
        )

    async def close(self) -> bool:
        """Give the devices back; True when closed in time."""
        return self._runtime.close()

    async def __aenter__(self) -> Runtime:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def create_runner(
    model: ModelSource,
    *,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    compiler_config: Mapping[str, object] | None = None,
) -> Creation[Runner]:
    """Open devices and load a model on them; to be awaited. Raises FuriosaRuntimeError."""
    return Creation(
        lambda: Runner(
            sync.create_runner(
                model, device=device, worker_num=worker_num, batch_size=batch_size, compiler_config=compiler_config
            )
        )
    )
