"""Whether ONNX Runtime can run what is left to it: known at compile time, not when the model is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from furiosa.compiler.cdfg import Clusters
from furiosa.compiler.cluster import Cluster
from furiosa.isa.errors import UnsupportedError

if TYPE_CHECKING:  # a model that runs wholly on the NPU needs no onnx
    import onnx


def check_cpu(clusters: Clusters) -> Clusters:
    """The clusters. Raises UnsupportedError naming the operator when ONNX Runtime refuses one of the CPU's."""
    for cluster in clusters.clusters:
        if cluster.device == "cpu":
            _check(cluster)
    return clusters


def _check(cluster: Cluster) -> None:
    import onnx

    from furiosa.compiler.cpu_model import to_onnx
    from furiosa.compiler.frontend.session import refusal

    model = onnx.ModelProto()
    model.ParseFromString(to_onnx(cluster))
    # Without large weights a session opens fast; the few operators that insist on constants get another try with them.
    if refusal(_without_weights(model)) is None:
        return
    why = refusal(model)
    if why is None:
        return
    named = [op for op in cluster.ops if op.kind == "onnx" and (op.node in why or op.attrs.op_type in why)]
    guilty = named[0] if named else None
    raise UnsupportedError(
        f"neither the NPU nor ONNX Runtime can run "
        f"{f'operator `{guilty.attrs.op_type}` of opset {guilty.attrs.opset}' if guilty else 'the model'}: {why}",
        where=f"node `{guilty.node}`" if guilty else None,
        hint="replace the operator by standard ones, or convert the model to another opset",
    )


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnx

    from furiosa.compiler.frontend.session import add_light

    light = onnx.ModelProto()
    light.CopyFrom(model)
    del light.graph.initializer[:]
    add_light(light.graph, model.graph.initializer)
    return light
