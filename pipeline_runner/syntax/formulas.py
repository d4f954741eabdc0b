"""Calculations in `${…}`: Jinja expressions in its sandbox, with filters for paths, and with strict names.

Jinja is imported when the first calculation is read: a pipeline of plain references never needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import PurePosixPath

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipeline_runner.errors import nearest
from pipeline_runner.syntax.expressions import Raw, as_text
from pipeline_runner.typed import Any

MOST_REPEATED = 250_000  # elements that a `*` may make of a text or a list: a million take 0.1 s to be written as text
MOST_DEPTH = 40  # of an expression: Jinja takes time in the square of it, 1.5 s at 200
MOST_DIGITS = 10_000  # of a power, about
PATH_FILTERS: Mapping[str, Callable[[Any], str]] = {
    "name": lambda value: PurePosixPath(value).name,
    "stem": lambda value: PurePosixPath(value).stem,
    "suffix": lambda value: PurePosixPath(value).suffix,
    "parent": lambda value: str(PurePosixPath(value).parent),
}
# `random` would give another answer each time; the others pad to any width, or are made for whole templates.
_NOT_OFFERED = ("random", "center", "indent", "format", "pprint", "xmlattr", "urlize", "forceescape", "safe", "escape")
_IN_PLAIN = {"chunk after expression": "it goes on after its end"}
_END = re.compile("'?end of (template|print statement)'?")


class CannotRead(Exception):
    """The text is no expression. `at` and `width` say where in it, from 0, as far as that can be known."""

    def __init__(self, why: str, at: int = 0, width: int = 0, cure: str = "") -> None:
        super().__init__(why)
        self.why, self.at, self.width, self.cure = why, at, width, cure


class CannotCompute(Exception):
    """The expression has no value."""


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which a key of a mapping goes before a method of the same name, and no small text makes a
    value too large to hold."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "*" and _repeats(left, right) > MOST_REPEATED:
            raise SecurityError("it would make too large a value")
        if operator == "**" and _digits(left, right) > MOST_DIGITS:
            raise SecurityError("it would make too large a number")
        if operator == "%" and isinstance(left, str | bytes):
            raise SecurityError("% is for numbers; put text together with ~")
        return super().call_binop(context, operator, left, right)


def _repeats(left: Any, right: Any) -> int:
    for one, times in ((left, right), (right, left)):
        if isinstance(one, str | bytes | list | tuple) and isinstance(times, int):
            return len(one) * times
    return 0


def _digits(base: Any, power: Any) -> int:
    """About how many bits a whole number to a power has."""
    return base.bit_length() * power if isinstance(base, int) and isinstance(power, int) else 0


@cache
def environment() -> ImmutableSandboxedEnvironment:
    sandbox = _Environment(undefined=StrictUndefined)
    for name in _NOT_OFFERED:
        sandbox.filters.pop(name, None)
    sandbox.filters |= PATH_FILTERS
    sandbox.filters["raw"] = _raw
    return sandbox


def _raw(value: Any) -> Raw:
    """Of a list, its elements with spaces between them."""
    return Raw(" ".join(map(as_text, value)) if isinstance(value, list | tuple) else as_text(value))


@lru_cache(maxsize=4096)
def names(source: str) -> tuple[tuple[str, tuple[str | int, ...], bool], ...]:
    """What an expression reads: each name with the fixed steps that follow it, and whether it may be missing wherever
    it stands, in reading order.

    Errors: CannotRead.
    """
    found: dict[tuple[str, tuple[str | int, ...]], bool] = {}
    for root, steps, optional in _names(_parsed(source)):
        found[root, steps] = optional and found.get((root, steps), True)
    return tuple((root, steps, optional) for (root, steps), optional in found.items())


def _parsed(source: str) -> nodes.Expr:
    sandbox = environment()
    # The brackets keep "}}", "|" at the end and the like from being read as more than one expression.
    try:
        bracketed = "{{ (" + source + "\n) }}"
        with suppress(TemplateSyntaxError):  # which is told better by what comes next
            if _deeper_than(MOST_DEPTH, sandbox.parse(bracketed)):
                raise CannotRead(f"it is nested more than {MOST_DEPTH} deep")
        sandbox.compile_expression(source, undefined_to_none=False)
        tree = sandbox.parse(bracketed)
        body = tree.body[0]
        if len(tree.body) != 1 or not isinstance(body, nodes.Output) or len(body.nodes) != 1:
            raise CannotRead("this is more than one expression")
        found = body.nodes[0]
    except TemplateSyntaxError as error:
        raise _unreadable(source, error.message or "it cannot be read") from None
    except (RecursionError, MemoryError, OverflowError, ValueError, SyntaxError) as error:
        # The last is Python's, of what Jinja makes of it: two hundred brackets in each other are too many.
        raise CannotRead(f"it is too deep or too long ({type(error).__name__})") from None
    if isinstance(found, nodes.TemplateData):
        raise CannotRead("this is no expression")
    return found


def _deeper_than(most: int, tree: nodes.Node) -> bool:
    level: list[nodes.Node] = [tree]
    for _ in range(most + 2):  # the template and its output are no part of the expression
        level = [child for node in level for child in node.iter_child_nodes()]
    return bool(level)


def _unreadable(source: str, message: str) -> CannotRead:
    unknown = re.search(r"[Nn]o (filter|test) named '([^']*)'", message)
    if unknown:
        kind, word = unknown.groups()
        known = environment().filters if kind == "filter" else environment().tests
        guess = nearest(word, [name for name in known if name.isidentifier()])
        at = source.find(word)
        cure = f"for paths there is {', '.join(PATH_FILTERS)}" if kind == "filter" else ""
        return CannotRead(
            f'unknown {kind} "{word}"' + (f'; did you mean "{guess}"?' if guess else ""), max(at, 0), len(word), cure
        )
    strange = re.search(r"unexpected char (['\"])(.*?)\1 at (\d+)", message)
    if strange:
        never = "this quote is never closed" if strange[2] in "'\"" else f'"{strange[2]}" has no meaning here'
        return CannotRead(never, int(strange[3]), 1)
    return CannotRead(f"it cannot be read: {_IN_PLAIN.get(message) or _END.sub('end', message).rstrip('.')}")


def _names(node: nodes.Node, *, optional: bool = False) -> Iterator[tuple[str, tuple[str | int, ...], bool]]:
    """Names with their fixed steps. All are free: an expression has no loops of its own."""
    steps: list[str | int] = []
    inner: nodes.Node = node
    while isinstance(inner, nodes.Getattr | nodes.Getitem):
        if isinstance(inner, nodes.Getattr):
            steps.append(inner.attr)
        elif isinstance(inner.arg, nodes.Const) and isinstance(inner.arg.value, str | int):
            steps.append(inner.arg.value)
        else:
            yield from _names(inner.arg)
            steps.clear()
        inner = inner.node
    if isinstance(inner, nodes.Name):
        yield inner.name, tuple(reversed(steps)), optional and len(steps) == 1
        return
    asked = inner.node if isinstance(inner, nodes.Filter | nodes.Test) and inner.name in _OF_THE_MISSING else None
    for child in inner.iter_child_nodes():
        yield from _names(child, optional=child is asked)


_OF_THE_MISSING = ("default", "d", "defined", "undefined")  # filters and tests of what need not be there


@lru_cache(maxsize=4096)
def _compiled(source: str) -> Callable[..., Any]:
    return environment().compile_expression(source, undefined_to_none=False)


def compute(source: str, scope: Mapping[str, Any]) -> Any:
    """The value of an expression. Errors: CannotCompute, whatever it raised."""
    try:
        value = _compiled(source)(**scope)
        if isinstance(value, Undefined):
            str(value)  # strict: says what is not there
        return _settled(value)
    except Exception as error:  # a value's own methods and operators may raise anything
        raise CannotCompute(_said(error)) from error


def _settled(value: Any) -> Any:
    """A lazy filter (map, select, …) as the list it stands for."""
    return list(value) if isinstance(value, Iterator) else value


def _said(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, SecurityError):
        return text
    missing = re.search(r"'([^']*)' is undefined|has no (?:attribute|element) '?([^']*)'?$", text)
    if missing:
        return f'there is no "{missing[1] or missing[2]}"'
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
