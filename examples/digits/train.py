"""Trains the digit network and writes `digits.onnx` and `digits.npz`; needs PyTorch, scikit-learn and onnx.

    python examples/digits/train.py

Run it only to make the committed files anew: the demo needs neither PyTorch nor scikit-learn. Seed and thread count are
fixed, so one version of PyTorch on one kind of machine gives the same network again.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from digit_images import IMAGES, MODEL, SIZE, DigitImages, to_input, upscale

SEED = 2024
HELD_BACK = 450
CALIBRATION = 128
EPOCHS = 60
BATCH = 64
CLASSES = 10


class ConvBn(nn.Module):
    """A 3x3 or 1x1 convolution without bias, then batch normalization; `groups == channels` makes it depthwise."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))  # type: ignore[no-any-return]

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weights and bias of the one convolution that equals both: `w * g / sqrt(var + eps)`, `b - mean * that g`."""
        assert self.norm.running_var is not None
        assert self.norm.running_mean is not None
        gain = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        return self.conv.weight * gain[:, None, None, None], self.norm.bias - self.norm.running_mean * gain


class Separable(nn.Module):
    """Depthwise 3x3, ReLU, pointwise 1x1."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = ConvBn(inputs, inputs, stride=stride, groups=inputs)
        self.pointwise = ConvBn(inputs, outputs, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(functional.relu(self.depthwise(x)))  # type: ignore[no-any-return]


class DigitNet(nn.Module):
    """Stem, pool, a residual block of full convolutions, one of separable ones, global average pool, linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBn(1, 16)
        self.res1_a = ConvBn(16, 16)
        self.res1_b = ConvBn(16, 16)
        self.down = Separable(16, 32, stride=2)
        self.res2_a = Separable(32, 32)
        self.res2_b = Separable(32, 32)
        self.expand = ConvBn(32, 64, kernel=1)
        self.head = nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        relu = functional.relu
        x = functional.max_pool2d(relu(self.stem(x)), 2)
        x = relu(x + self.res1_b(relu(self.res1_a(x))))
        x = relu(self.down(x))
        x = relu(x + self.res2_b(relu(self.res2_a(x))))
        x = relu(self.expand(x)).mean(dim=(2, 3))
        return self.head(x)  # type: ignore[no-any-return]


class OnnxGraph:
    """The ONNX nodes and weights written so far; every method adds one layer and gives the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, kind: str, name: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{name}.out"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def weight(self, name: str, value: Tensor) -> str:
        self.weights.append(numpy_helper.from_array(value.detach().numpy().astype(np.float32), name))
        return name

    def conv(self, name: str, x: str, layer: ConvBn) -> str:
        weight, bias = layer.folded()
        kernel, stride = layer.conv.kernel_size[0], layer.conv.stride[0]
        return self.node(
            "Conv",
            name,
            x,
            self.weight(f"{name}.weight", weight),
            self.weight(f"{name}.bias", bias),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
            group=layer.conv.groups,
        )

    def relu(self, name: str, x: str) -> str:
        return self.node("Relu", f"{name}.relu", x)

    def separable(self, name: str, x: str, block: Separable) -> str:
        x = self.relu(f"{name}.depthwise", self.conv(f"{name}.depthwise", x, block.depthwise))
        return self.conv(f"{name}.pointwise", x, block.pointwise)


def export(net: DigitNet) -> onnx.ModelProto:
    """The network as ONNX, opset 13, batch 1, batch normalization folded: the same steps as `DigitNet.forward`."""
    graph = OnnxGraph()
    x = graph.relu("stem", graph.conv("stem", "image", net.stem))
    pooled = graph.node("MaxPool", "pool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = graph.relu("res1.a", graph.conv("res1.a", pooled, net.res1_a))
    x = graph.node("Add", "res1.add", pooled, graph.conv("res1.b", x, net.res1_b))
    down = graph.relu("down", graph.separable("down", graph.relu("res1", x), net.down))
    x = graph.relu("res2.a", graph.separable("res2.a", down, net.res2_a))
    x = graph.node("Add", "res2.add", down, graph.separable("res2.b", x, net.res2_b))
    x = graph.relu("expand", graph.conv("expand", graph.relu("res2", x), net.expand))
    x = graph.node("Flatten", "flatten", graph.node("GlobalAveragePool", "average", x), axis=1)
    weight, bias = graph.weight("head.weight", net.head.weight), graph.weight("head.bias", net.head.bias)
    graph.node("Gemm", "head", x, weight, bias, output="logits", transB=1)

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIZE, SIZE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "digits", [image], [logits], graph.weights),
        opset_imports=[helper.make_opsetid("", 13)],
        producer_name="examples/digits",
        ir_version=8,  # old enough for every ONNX Runtime that knows opset 13
    )
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model)


def split() -> tuple[DigitImages, Tensor, Tensor]:
    """The images to commit, and the training images (float, 0 to 1) with their labels."""
    digits = load_digits()
    pixels, labels = upscale(digits.images), digits.target.astype(np.uint8)
    order = np.random.default_rng(SEED).permutation(len(labels))
    held_back, rest = order[:HELD_BACK], order[HELD_BACK:]
    committed = DigitImages(pixels[held_back], labels[held_back], pixels[rest[:CALIBRATION]])
    return committed, torch.from_numpy(to_input(pixels[rest])), torch.from_numpy(labels[rest].astype(np.int64))


def distort(images: Tensor) -> Tensor:
    """Every image turned by up to 12 degrees, scaled by up to 12 % and shifted by up to 2 pixels, at random."""
    count = len(images)
    angle = (torch.rand(count) * 2 - 1) * 0.21
    scale = 1 + (torch.rand(count, 2) * 2 - 1) * 0.12
    shift = (torch.rand(count, 2) * 2 - 1) * (4 / SIZE)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1) * scale[:, :, None]
    grid = functional.affine_grid(torch.cat([rows, shift[:, :, None]], 2), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def train(images: Tensor, labels: Tensor) -> DigitNet:
    """A network trained for a fixed number of epochs; the held-back images play no part, not even in stopping."""
    net = DigitNet()
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    net.train()
    for epoch in range(EPOCHS):
        for chosen in torch.randperm(len(images))[: steps // EPOCHS * BATCH].view(-1, BATCH):
            loss = functional.cross_entropy(net(distort(images[chosen])), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
            optimizer.step()
            schedule.step()
        if sys.stderr.isatty():
            print(f"\repoch {epoch + 1}/{EPOCHS}, loss {loss.item():.3f}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return net.eval()


def run_onnx(model: onnx.ModelProto, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Logits `(count, 10)` of ONNX Runtime, one image at a time."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["logits"], {"image": image[None]})[0] for image in images])


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    committed, images, labels = split()
    start = time.perf_counter()
    net = train(images, labels)
    seconds = time.perf_counter() - start

    model = export(net)
    held_back = to_input(committed.images)
    with torch.no_grad():
        expected = net(torch.from_numpy(held_back)).numpy()
    logits = run_onnx(model, held_back)
    correct = int((logits.argmax(axis=1) == committed.labels).sum())

    onnx.save(model, MODEL)
    np.savez_compressed(IMAGES, images=committed.images, labels=committed.labels, calibration=committed.calibration)
    print(f"trained on {len(labels)} images for {EPOCHS} epochs in {seconds:.0f} s")
    print(f"held-back accuracy {correct / HELD_BACK:.2%} ({correct} of {HELD_BACK})")
    print(f"largest difference between PyTorch and ONNX logits {np.abs(expected - logits).max():.1e}")
    for path in (MODEL, IMAGES):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
