"""The operators that the CPU has, each with what writes its nodes."""

from __future__ import annotations

from furiosa.compiler.frontend.tflite.cpu import elements, images, moves, products, resizes
from furiosa.compiler.frontend.tflite.cpu.detection import detection
from furiosa.compiler.frontend.tflite.cpu.nodes import Cpu, Handler
from furiosa.compiler.frontend.tflite.refused import refusal
from furiosa.compiler.frontend.tflite.site import Site
from furiosa.compiler.graph import Reason

CPU: dict[str, Handler] = {
    **elements.ELEMENTS, **images.IMAGES, **moves.MOVES, **products.PRODUCTS, **resizes.RESIZES,
}  # fmt: skip
CUSTOM: dict[str, Handler] = {"TFLite_Detection_PostProcess": detection}


def on_cpu(site: Site, reason: Reason) -> None:
    """Give the results of an operator from ONNX nodes. Raises UnsupportedError when there are none for it."""
    handler = (CPU if site.operator.custom is None else CUSTOM).get(site.operator.code)
    if handler is None:
        raise refusal(site.operator, site.importer.where)
    handler(Cpu(site, reason))
