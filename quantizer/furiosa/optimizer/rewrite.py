"""The engine of the rewrites: rules by operator, applied from the inputs to the outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onnx import NodeProto, helper

from furiosa.optimizer.graph import Graph
from furiosa.optimizer.scopes import defined_in, read_by, rename, subgraphs


class View:
    """A graph during one walk: which node makes a tensor, and which read it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._results = {value.name for value in graph.outputs}
        self._producers: dict[str, NodeProto] = {}
        self._readers: dict[str, dict[int, NodeProto]] = {}
        self._alive: set[int] = set()
        for node in graph.nodes:
            self._enter(node)
        for node in reversed(graph.nodes):
            if self.alive(node) and not self.reads(*node.output):
                self._remove(node)

    def producer(self, name: str, *kinds: str) -> NodeProto | None:
        """The node that makes a tensor, if it is one of these operators of the standard."""
        node = self._producers.get(name)
        return node if node is not None and not node.domain and node.op_type in kinds else None

    def reads(self, *names: str) -> int:
        """How many nodes read these tensors; whoever runs the model counts as one that reads its outputs."""
        return sum(len(self._readers.get(name, ())) + (name in self._results) for name in names)

    def alive(self, node: NodeProto) -> bool:
        """Whether a node is still in the graph."""
        return id(node) in self._alive

    def replace(self, node: NodeProto, new: Sequence[NodeProto]) -> None:
        """Put others in the place of a node. They give results of the same names."""
        for other in new:
            self._enter(other)
        self._remove(node)

    def redirect(self, node: NodeProto, source: str) -> bool:
        """Remove a node whose first result is the tensor ``source``.

        Its readers read ``source`` from then on. Where the result is an output of the model, ``source`` takes that
        name. False when it cannot: it is an input or an output of the model itself.
        """
        result = node.output[0]
        producer = self._producers.get(source)
        upward = result in self._results
        if upward and (producer is None or source in self._results):
            return False
        old, new = (source, result) if upward else (result, source)
        touched = [other for other in self._readers.get(old, {}).values() if other is not node]
        if upward and producer is not None:
            touched.append(producer)
        if any(new in defined_in(body) for other in touched for body in subgraphs(other)):
            return False
        for other in touched:
            rename(other, {old: new})
        self._readers.setdefault(new, {}).update((id(other), other) for other in touched if new in read_by(other))
        self._readers.pop(old, None)
        self._remove(node)
        if producer is not None:
            self._producers[new] = producer
        return True

    def _enter(self, node: NodeProto) -> None:
        self._alive.add(id(node))
        self._producers.update((name, node) for name in node.output if name)
        for name in read_by(node):
            self._readers.setdefault(name, {})[id(node)] = node

    def _remove(self, node: NodeProto) -> None:
        """Take a node out, and all that were there only for it."""
        pending = [node]
        while pending:
            dead = pending.pop()
            self._alive.discard(id(dead))
            for name in read_by(dead):
                self._readers.get(name, {}).pop(id(dead), None)
                source = self._producers.get(name)
                if source is not None and self.alive(source) and not self.reads(*source.output):
                    pending.append(source)


Rule = Callable[[View, NodeProto], Sequence[NodeProto] | str | None]
"""What to put in the place of a node: other nodes, a tensor that is the same, or None to leave it."""


def rewrite(graph: Graph, rules: Mapping[str, Sequence[Rule]]) -> bool:
    """Apply the rules of each operator to its nodes, producers first; whether anything changed.

    The first rule that answers wins. Its nodes come up for the rules again, with the types that were known before.
    Nodes whose results nobody reads are removed.
    """
    view = View(graph)
    changed = False
    done: list[NodeProto] = []
    pending = graph.nodes[::-1]
    while pending:
        node = pending.pop()
        if not view.alive(node):
            continue
        answers = (rule(view, node) for rule in (() if node.domain else rules.get(node.op_type, ())))
        answer = next((answer for answer in answers if answer is not None), None)
        if isinstance(answer, str):
            if view.redirect(node, answer):
                changed = True
                continue
            answer = None if node.op_type == "Identity" else [helper.make_node("Identity", [answer], node.output[:1])]
        if answer is None:
            done.append(node)
            continue
        view.replace(node, answer)
        pending.extend(reversed(answer))
        changed = True
    graph.nodes = [node for node in done if view.alive(node)]
    return changed
