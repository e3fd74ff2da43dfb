"""Programs as they are written for the SDK run as they are: nothing in them knows that the device is simulated."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from furiosa.compiler import compile_model

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"

PROGRAMS = {
    "quickstart": """
import numpy as np
from furiosa import runtime
from furiosa.runtime import session

print(runtime.__full_version__)
sess = session.create(str("mnist.onnx"))
sess.print_summary()
shape = sess.inputs()[0].shape
outputs = sess.run(np.random.default_rng(1).random(shape, dtype=np.float32))
assert outputs[0].numpy().shape == (1, 10)
sess.close()
""",
    "classification of a compiled model": """
import sys
import numpy as np
from furiosa.runtime import session

with session.create("mnist.enf") as sess:
    sess.print_summary()
    image = np.load("images.npy")[:1].reshape(sess.input(0).shape)
    outputs = sess.run(image)
    prediction = np.argmax(outputs[0].numpy().reshape(-1))
    print("digit", prediction, len(outputs), file=sys.stderr)
    assert prediction == np.load("labels.npy")[0]
""",
    "random inputs of every type": """
import numpy as np
from furiosa.runtime.tensor import DataType

def main(path, count):
    from furiosa.runtime import session
    with session.create(path) as sess:
        print(sess.print_summary())
        for _ in range(count):
            inputs = []
            for desc in sess.inputs():
                if desc.dtype == DataType.UINT8:
                    inputs.append(np.random.randint(0, 255, desc.shape, dtype=np.uint8))
                elif desc.dtype == DataType.INT8:
                    inputs.append(np.random.randint(-128, 127, desc.shape, dtype=np.int8))
                elif desc.dtype == DataType.FLOAT32:
                    inputs.append(np.random.random(desc.shape).astype(np.float32))
                else:
                    raise TypeError(desc.dtype)
            sess.run(inputs)

main("mnist.onnx", 3)
main("mnist.enf", 3)
""",
    "an asynchronous session": """
import numpy as np
import random
from furiosa.runtime import session, tensor

submitter, queue = session.create_async("mnist.onnx", worker_num=2, input_queue_size=100, output_queue_size=100)
print(submitter.inputs(), submitter.outputs())
images = np.load("images.npy")
expected = set()
for _ in range(5):
    index = random.randint(0, len(images) - 1)
    expected.add(index)
    submitter.submit(images[index : index + 1], context=index)
for _ in range(5):
    context, outputs = queue.recv(60000)
    assert context in expected
    assert np.argmax(outputs[0].numpy()) == np.load("labels.npy")[context]
submitter.submit(tensor.rand(submitter.input(0)))
queue.recv()
if queue:
    queue.close()
if submitter:
    submitter.close()
""",
    "accuracy against ONNX Runtime": """
import numpy as np
import onnxruntime
from furiosa.runtime import session

reference = onnxruntime.InferenceSession("mnist.onnx")
sess = session.create("mnist.onnx")
names = [desc.name for desc in sess.inputs()], [desc.name for desc in sess.outputs()]
for image in np.load("images.npy")[:5]:
    feed = {names[0][0]: image[None]}
    ours, theirs = sess.run_with(names[1], feed), reference.run(names[1], feed)
    assert np.allclose(ours[0].numpy(), theirs, atol=0.04)
sess.close()
""",
    "a detector with many workers": """
import asyncio
import numpy as np
from furiosa.runtime import FuriosaRuntimeError, create_runner

async def task(runner, images, results):
    for index, image in images:
        results[index] = (await runner.run([image]))[0]

async def main():
    images = np.load("images.npy")
    results = {}
    async with create_runner(
        "mnist.onnx", worker_num=32, device="warboy(2)*1", compiler_config={"use_program_loading": True}
    ) as runner:
        try:
            await create_runner("mnist.onnx", device="npu0pe0-1")
        except FuriosaRuntimeError as e:
            print("busy", e)
        numbered = [(index, image[None]) for index, image in enumerate(images)]
        await asyncio.gather(*(task(runner, numbered[first::4], results) for first in range(4)))
    right = sum(int(results[index].argmax() == label) for index, label in enumerate(np.load("labels.npy")))
    assert right >= 0.9 * len(images), right

asyncio.run(main())
""",
    "a detector behind a queue": """
import asyncio
import time
import numpy as np
from furiosa.runtime import create_queue

class Application:
    def __init__(self, model, worker_num, device):
        self.config = {"model": model, "worker_num": worker_num, "device": device}
        self.results = {}

    def __call__(self, images):
        asyncio.run(self.run(images))

    async def run(self, images):
        async with create_queue(**self.config) as (submitter, receiver):
            submit = asyncio.create_task(self.submit_with(submitter, images))
            receive = asyncio.create_task(self.recv_with(receiver))
            await submit
            await receive

    async def submit_with(self, submitter, images):
        for frame, image in enumerate(images):
            await submitter.submit(image[None], context=(0, frame))
        await submitter.close()

    async def recv_with(self, receiver):
        async for (channel, frame), outputs in receiver:
            self.results[channel, frame] = outputs[0]
            await asyncio.sleep(0)

application = Application("mnist.enf", 8, "npu0pe0-1")
application(np.load("images.npy"))
assert sorted(application.results) == [(0, frame) for frame in range(len(np.load("images.npy")))]
""",
    "queues that are kept": """
import asyncio
import numpy as np
from furiosa.runtime import create_queue

queues = {}

async def initialize():
    for pe in ("npu0pe0", "npu0pe1"):
        queues[pe] = await create_queue("mnist.onnx", worker_num=1, device=pe)

async def main():
    await initialize()
    image = np.load("images.npy")[:1]
    for submitter, receiver in queues.values():
        inputs = submitter.allocate()
        inputs[0][...] = image
        await submitter.submit(inputs)
    labels = [(await receiver.recv())[1][0].argmax() for _, receiver in queues.values()]
    assert labels[0] == labels[1] == np.load("labels.npy")[0]
    try:
        await asyncio.wait_for(receiver.recv(), 0.01)
    except asyncio.TimeoutError:
        print("no more")
    for submitter, receiver in queues.values():
        assert await submitter.close() and await receiver.close()

asyncio.run(main())
""",
    "a runner for bytes and foreign tensors": """
from pathlib import Path
import numpy as np
from furiosa.runtime.sync import Runtime, create_runner

class Tensor:
    "What another library computes with."
    def __init__(self, values):
        self.values = values
    def __array__(self, dtype=None, copy=None):
        return self.values

image = np.load("images.npy")[:1]
data = Path("mnist.enf").read_bytes()
with create_runner(data, batch_size=1, worker_num=2) as runner:
    model = runner.model
    for index in range(model.input_num):
        print(model.input(index), model.input(index).numpy_dtype)
    one, two = runner.run([Tensor(image)]), runner.run(Tensor(image))
    three = runner.run_with([model.output(0).name], {model.input(0).name: image})
    assert np.array_equal(one, two) and np.array_equal(one, three)
with Runtime("warboy(2)*1") as runtime, runtime.create_queue(bytearray(data)) as (submitter, receiver):
    submitter.submit(image, context="a")
    context, outputs = receiver.recv(timeout=60)
    assert context == "a" and np.array_equal(outputs, one)
with create_runner("mnist.onnx", batch_size=4) as runner:
    assert runner.model.input(0).shape == (4, 1, 28, 28)
    assert runner.run(np.load("images.npy")[:4])[0].shape == (4, 10)
""",
    "a server that dispatches from threads": """
import queue
import threading
import numpy as np
from furiosa.runtime.sync import create_queue

images = np.load("images.npy")
with create_queue("mnist.enf", worker_num=4, input_queue_size=8, output_queue_size=8) as (submitter, receiver):
    answers = {index: queue.Queue() for index in range(len(images))}
    def dispatch():
        for index, outputs in receiver:
            answers[index].put(outputs[0].argmax())
    def client(first):
        for index in range(first, len(images), 8):
            submitter.submit(images[index : index + 1], context=index)
            assert answers[index].get() == expected[index]
    with submitter:
        expected = []
        dispatcher = threading.Thread(target=dispatch)
        for image in images:
            submitter.submit(image[None])
            expected.append(receiver.recv()[1][0].argmax())
        dispatcher.start()
        clients = [threading.Thread(target=client, args=(first,)) for first in range(8)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
    dispatcher.join()
""",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import numpy as np

    folder = tmp_path_factory.mktemp("models")
    shutil.copy(DIGITS / "digits.onnx", folder / "mnist.onnx")
    quantized = folder / "quantized.onnx"
    subprocess.run([sys.executable, DIGITS / "quantize.py", quantized, "--activations", "uint8"], check=True)
    (folder / "mnist.enf").write_bytes(compile_model(quantized).enf)
    digits = np.load(DIGITS / "digits.npz")
    np.save(folder / "images.npy", digits["images"][:40, None].reshape(-1, 1, 28, 28).astype(np.float32) / 255)
    np.save(folder / "labels.npy", digits["labels"][:40])
    return folder


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(models)
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[name])
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
