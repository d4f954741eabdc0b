"""References: `${stages.read}` and text around them. What they mean is looked up in a scope, never guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline_runner.errors import did_you_mean

ROOTS = ("params", "env", "item", "index", "stages", "run")


@dataclass(frozen=True)
class Reference:
    """`${root.path[0].more}`."""

    root: str  # one of ROOTS
    path: tuple[str | int, ...] = ()
    start: int = field(default=0, compare=False, repr=False)  # where the scalar's text holds it, from "$"
    stop: int = field(default=0, compare=False, repr=False)  # to after "}"

    def __str__(self) -> str:
        return "${" + self.root + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path) + "}"


@dataclass(frozen=True)
class Text:
    """Text with references inside; what they stand for becomes text."""

    parts: tuple[str | Reference, ...]


class ExpressionError(ValueError):
    """A `${…}` that cannot be read, or that names what there is not."""

    def __init__(self, message: str, column: int = 0, width: int = 1, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.column = column  # from 0, in the scalar's text
        self.width = width
        self.cure = cure  # what to write instead, or nothing


Scope = Mapping[str, Any]  # root → what it stands for; a missing root stays a reference


# A "}" inside a quoted key does not end a reference; nor does a quote that is never closed begin one.
_WHOLE = re.compile(r"\$\{((?:\[\s*(?:'[^'\n]*'|\"[^\"\n]*\")\s*\]|[^}])*+)\}")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STEP = re.compile(r"\.(?P<name>\w[\w-]*)|\[(?P<index>-?[0-9]{1,18})\]|\[(?P<quote>['\"])(?P<key>.*?)(?P=quote)\]")


def parse(text: str) -> str | Reference | Text:
    """Read a scalar. Wholly `${…}`: a Reference; with some inside: Text; else the text, `$${` made `${`.

    Errors: ExpressionError at the column of what cannot be read.
    """
    if "${" not in text:
        return text
    parts: list[str | Reference] = []
    plain = ""
    at = 0
    while at < len(text):
        if text.startswith("$${", at):
            plain += "${"
            at += 3
        elif text.startswith("${", at):
            whole = _WHOLE.match(text, at)
            if whole is None:
                raise ExpressionError('"${" without its "}"; write $${ for a literal "${"', at, len(text) - at)
            if plain:
                parts.append(plain)
                plain = ""
            parts.append(replace(_reference(whole[1], at + 2), start=at, stop=whole.end()))
            at = whole.end()
        else:
            until = text.find("$", at + 1)
            plain += text[at : until if until > 0 else None]
            at = until if until > 0 else len(text)
    if plain:
        parts.append(plain)
    if len(parts) == 1:
        return parts[0]
    return Text(tuple(parts))


def _reference(inside: str, column: int) -> Reference:
    stripped = inside.strip()
    column += len(inside) - len(inside.lstrip())
    root = _WORD.match(stripped)
    if root is None:
        what = f'"{stripped}" is not a reference' if stripped else "this reference is empty"
        raise ExpressionError(what, column, max(1, len(stripped)), f"a reference begins with {', '.join(ROOTS)}")
    path: list[str | int] = []
    at = root.end()
    while at < len(stripped):
        step = _STEP.match(stripped, at)
        if step is None:
            raise ExpressionError(
                f'cannot read "{stripped[at:]}" in this reference',
                column + at,
                len(stripped) - at,
                "a reference is a name, then .name or [number]; calculations and filters are not in this version yet",
            )
        path.append(int(step["index"]) if step["index"] is not None else step["name"] or step["key"])
        at = step.end()
    if root[0] not in ROOTS:
        raise ExpressionError(
            f'unknown name "{root[0]}"{did_you_mean(root[0], ROOTS)}',
            column,
            len(root[0]),
            f"there is {', '.join(ROOTS)}",
        )
    return Reference(root[0], tuple(path))


def references(template: Any) -> Iterator[Reference]:
    """Every reference in a nested value, in reading order."""
    match template:
        case Reference():
            yield template
        case Text(parts):
            yield from (part for part in parts if isinstance(part, Reference))
        case Mapping():
            for value in template.values():
                yield from references(value)
        case list() | tuple():
            for value in template:
                yield from references(value)


def render(template: Any, scope: Scope) -> Any:
    """Fill in what the scope knows; references to other roots stay.

    Errors: ExpressionError when a path leads nowhere.
    """
    match template:
        case Reference():
            return follow(template, scope[template.root]) if template.root in scope else template
        case Text(parts):
            done = [render(part, scope) for part in parts]
            joined: list[str | Reference] = []
            for part in done:
                if isinstance(part, Reference):
                    joined.append(part)
                elif joined and isinstance(last := joined[-1], str):
                    joined[-1] = last + as_text(part)
                else:
                    joined.append(as_text(part))
            return joined[0] if len(joined) == 1 and isinstance(joined[0], str) else Text(tuple(joined))
        case Mapping():
            return {key: render(value, scope) for key, value in template.items()}
        case list():
            return [render(value, scope) for value in template]
        case tuple():
            return tuple(render(value, scope) for value in template)
    return template


def follow(reference: Reference, value: Any) -> Any:
    """Walk a reference's path into a value: keys, indexes, then public attributes that are no methods."""
    for step in reference.path:
        value = _step(reference, value, step)
    return value


def _step(reference: Reference, value: Any, step: str | int) -> Any:
    if isinstance(value, Mapping):
        if step in value:
            return value[step]
        known = ", ".join(map(str, value)) or "nothing"
        raise ExpressionError(f'{reference} leads nowhere: there is no "{step}"; there is {known}')
    if isinstance(step, int):
        try:
            return value[step]
        except (IndexError, TypeError, KeyError) as error:
            raise ExpressionError(f"{reference} leads nowhere: {error}") from error
    if not step.startswith("_") and hasattr(value, step) and not callable(getattr(value, step)):
        return getattr(value, step)
    raise ExpressionError(f'{reference} leads nowhere: a {type(value).__name__} has no "{step}"')


def as_text(value: Any) -> str:
    """A value inside text, in YAML's spelling: true, null."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def map_leaves(template: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same nesting, every scalar leaf replaced by leaf(it)."""
    if isinstance(template, Mapping):
        return {key: map_leaves(value, leaf) for key, value in template.items()}
    if isinstance(template, list):
        return [map_leaves(value, leaf) for value in template]
    return leaf(template)
