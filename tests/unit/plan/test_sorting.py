"""Sorting is what networkx would do, also where it is not asked."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.plan.sorting import arranged, circles

NODES = range(7)
EDGES = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=9, unique=True)


def graph_of(edges):
    graph = nx.DiGraph()
    graph.add_nodes_from(NODES)
    graph.add_edges_from(edges)
    return graph


@given(EDGES, st.booleans())
def test_nodes_are_arranged_as_networkx_sorts_them(edges, ahead):
    edges = [(min(edge), max(edge)) if ahead else edge for edge in edges if edge[0] != edge[1]]
    graph = graph_of(edges)
    if nx.is_directed_acyclic_graph(graph):
        assert circles(NODES, edges) == []
        assert arranged(NODES, edges) == list(nx.lexicographical_topological_sort(graph))
    else:
        assert circles(NODES, edges) != []


@given(EDGES)
def test_circles_are_the_sets_of_which_each_node_leads_to_each_other(edges):
    knots = [sorted(knot) for knot in nx.strongly_connected_components(graph_of(edges))]
    expected = sorted(knot for knot in knots if len(knot) > 1 or (knot[0], knot[0]) in edges)
    assert circles(NODES, edges) == expected
