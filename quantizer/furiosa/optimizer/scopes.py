"""Subgraphs of control flow: what they read of the graph around them. A name in one never hides a name outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from onnx import GraphProto, NodeProto


def subgraphs(node: NodeProto) -> list[GraphProto]:
    """The bodies of a node: branches of If, the body of Loop or Scan."""
    return [graph for item in node.attribute for graph in ([item.g] if item.HasField("g") else item.graphs)]


def all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes, and after each those of its subgraphs."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from all_nodes(graph.node)


def read_by(node: NodeProto) -> set[str]:
    """Every tensor that a node needs: its inputs, and what its subgraphs read from outside."""
    names = {name for name in node.input if name}
    for graph in subgraphs(node):
        names |= {name for inner in graph.node for name in read_by(inner)} - defined_in(graph)
    return names


def own_names(graph: GraphProto) -> set[str]:
    """Every name that a graph gives to a tensor, those in its subgraphs apart."""
    given = [*(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)]
    return {*given, *(name for node in graph.node for name in node.output if name)}


def defined_in(graph: GraphProto) -> set[str]:
    """Every name that a graph, or a subgraph in it, gives to a tensor."""
    return own_names(graph).union(*(defined_in(body) for node in graph.node for body in subgraphs(node)))


def rename(node: NodeProto, names: Mapping[str, str]) -> None:
    """Put the tensors on the right for those on the left, in a node and in its subgraphs."""
    for inner in all_nodes([node]):
        for place in (inner.input, inner.output):
            for index, name in enumerate(place):
                if name in names:
                    place[index] = names[name]
