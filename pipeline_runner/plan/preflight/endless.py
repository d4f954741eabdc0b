"""Whether a generator that was only read goes on for ever: the list of all that it yields would fill the memory."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from pipeline_runner.plan.preflight.signatures import Function

_LEAVES = (ast.Break, ast.Return, ast.Raise)  # perhaps of a loop within: then it is not sure
_APART = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def endless(function: Function, origin: Callable[[ast.expr], str]) -> bool:
    """Whether it yields in a loop that nothing in it leaves. `origin` says of a name where it comes from."""
    return any(_for_ever(node, origin) and _yields_on(node) for node in _own(function))


def _for_ever(node: ast.AST, origin: Callable[[ast.expr], str]) -> bool:
    match node:
        case ast.While(test=ast.Constant(value=value)):
            return bool(value)
        case ast.For(iter=ast.Call() as call):
            return origin(call) in ("itertools.count", "itertools.cycle")
    return False


def _yields_on(loop: ast.AST) -> bool:
    nodes = list(_own(loop))
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes) and not any(
        isinstance(node, _LEAVES) for node in nodes
    )


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes in it, without those of functions within."""
    waiting = [node]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if not isinstance(child, _APART):
                yield child
                waiting.append(child)
