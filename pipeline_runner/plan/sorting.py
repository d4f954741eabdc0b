"""What must come before what: nodes in an order in which all their edges lead on, and the circles that forbid one.

Where they lead on as things stand, there is nothing to sort and no circle. So it is in most pipelines, since people
write what comes first first; only others need networkx, which takes as long to import as a small pipeline to plan.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable

from pipeline_runner.typed import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import networkx as nx

Node = TypeVar("Node", bound=Hashable)
Edges = Collection[tuple[Node, Node]]


def arranged(nodes: Collection[Node], edges: Edges[Node]) -> list[Node]:
    """The nodes with every edge leading on, otherwise in the order that they have. There must be no circles."""
    if _lead_on(nodes, edges):
        return list(nodes)
    import networkx as nx

    return list(nx.lexicographical_topological_sort(_digraph(nodes, edges), key=_places(nodes).__getitem__))


def circles(nodes: Collection[Node], edges: Edges[Node]) -> list[list[Node]]:
    """Sets of nodes that all lead to one another, or one that leads to itself; each and all in the order of `nodes`."""
    if _lead_on(nodes, edges):
        return []
    import networkx as nx

    place = _places(nodes)
    graph = _digraph(nodes, edges)
    found = (sorted(knot, key=place.__getitem__) for knot in nx.strongly_connected_components(graph))
    knots = [knot for knot in found if len(knot) > 1 or graph.has_edge(knot[0], knot[0])]
    return sorted(knots, key=lambda knot: place[knot[0]])


def one_circle(knot: Collection[Node], edges: Edges[Node]) -> list[Node]:
    """One circle of such a set, from its first node on. `edges`: those inside of it."""
    import networkx as nx

    found = [source for source, _ in nx.find_cycle(_digraph(knot, edges), next(iter(knot)))]
    place = _places(knot)
    start = min(range(len(found)), key=lambda at: place[found[at]])
    return [*found[start:], *found[:start]]


def _lead_on(nodes: Iterable[Node], edges: Edges[Node]) -> bool:
    place = _places(nodes)
    return all(place[source] < place[target] for source, target in edges)


def _places(nodes: Iterable[Node]) -> dict[Node, int]:
    return {node: number for number, node in enumerate(nodes)}


def _digraph(nodes: Iterable[Node], edges: Edges[Node]) -> nx.DiGraph[Node]:
    import networkx as nx

    graph: nx.DiGraph[Node] = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges)
    return graph
