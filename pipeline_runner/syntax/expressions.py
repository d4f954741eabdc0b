"""References and calculations: `${stages.read}`, `${params.n * 2}`, and text around them.

What they mean is looked up in a scope, never guessed. A reference is read here; what is more than one is a
Jinja expression, and `formulas` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from pipeline_runner.classes import dataclass, field, replace
from pipeline_runner.errors import did_you_mean, kind_of
from pipeline_runner.typed import Any

ROOTS = ("params", "env", "item", "index", "stages", "run", "out", "outs")


@dataclass(frozen=True)
class Reference:
    """`${root.path[0].more}`."""

    root: str  # one of ROOTS
    path: tuple[str | int, ...] = ()
    start: int = field(default=0, compare=False, repr=False)  # where the scalar's text holds it, from "$"
    stop: int = field(default=0, compare=False, repr=False)  # to after "}"
    optional: bool = field(
        default=False, compare=False, repr=False
    )  # `${env.X | default('d')}` asks whether it is there

    def __str__(self) -> str:
        return "${" + self.root + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path) + "}"


@dataclass(frozen=True)
class Expression:
    """`${params.n * 2}`: a Jinja expression, with what is already known of the names in it."""

    source: str
    reads: tuple[Reference, ...]  # in reading order
    known: Mapping[str, Any] = field(default_factory=dict, repr=False)  # root → what it stands for
    start: int = field(default=0, compare=False, repr=False)
    stop: int = field(default=0, compare=False, repr=False)
    stands: Mapping[str, Ends] = field(default_factory=dict, repr=False)
    """What `stages.x` in it stands for, where that is not the stage of this name: `reads` has the real names."""

    def __str__(self) -> str:
        return "${" + self.source + "}"

    @property
    def given(self) -> dict[str, Any]:
        """What is known already of what it reads, by name."""
        return {str(ref): _followed(ref, self.known[ref.root]) for ref in self.reads if ref.root in self.known}

    def __hash__(self) -> int:
        return hash(self.source)  # what is known need not be hashable


Part = Reference | Expression
Ends = str | Mapping[str, "Ends"]  # a stage, or several by their names


@dataclass(frozen=True)
class Text:
    """Text with references inside; what they stand for becomes text."""

    parts: tuple[str | Part, ...]


class Raw(str):
    """Text that a shell is to read as it is: `${… | raw}`."""

    __slots__ = ()


class Template:
    """A value with references in it that is filled in in a way of its own."""

    @property
    def reads(self) -> Iterator[Reference]:
        """Its references that are not filled in yet, in reading order."""
        raise NotImplementedError

    def filled(self, scope: Scope) -> Any:
        """Itself with what the scope knows. Errors: ExpressionError when a path leads nowhere."""
        raise NotImplementedError


class ExpressionError(ValueError):
    """A `${…}` that cannot be read, or that names what there is not."""

    def __init__(self, message: str, column: int = 0, width: int = 1, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.column = column  # from 0, in the scalar's text
        self.width = width
        self.cure = cure  # what to write instead, or nothing


Scope = Mapping[str, Any]  # root → what it stands for; a missing root stays a reference


# Compiled when the first text is read, and kept by `re`: a run whose plan was kept reads none.
_WORD = r"[A-Za-z_][A-Za-z0-9_-]*"
_STEP = r"\.(?P<name>\w[\w-]*)|\[(?P<index>-?[0-9]{1,18})\]|\[(?P<quote>['\"])(?P<key>.*?)(?P=quote)\]"
_QUOTED = r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\""
_LESS = r"-\d+$"  # `n-1` is a key or a calculation
_OPENS, _CLOSES = "([{", ")]}"


def parse(text: str) -> str | Part | Text:
    """Read a scalar. Wholly `${…}`: what it is; with some inside: Text; else the text, `$${` made `${`.

    Errors: ExpressionError at the column of what cannot be read.
    """
    if "${" not in text:
        return text
    parts: list[str | Part] = []
    plain = ""
    at = 0
    while at < len(text):
        if text.startswith("$${", at):
            plain += "${"
            at += 3
        elif text.startswith("${", at):
            stop = _end(text, at + 2)
            if stop is None:
                raise ExpressionError('"${" without its "}"; write $${ for a literal "${"', at, len(text) - at)
            if plain:
                parts.append(plain)
                plain = ""
            parts.append(replace(_part(text[at + 2 : stop], at + 2), start=at, stop=stop + 1))
            at = stop + 1
        else:
            until = text.find("$", at + 1)
            plain += text[at : until if until > 0 else None]
            at = until if until > 0 else len(text)
    if plain:
        parts.append(plain)
    if len(parts) == 1:
        return parts[0]
    return Text(tuple(parts))


def _end(text: str, at: int) -> int | None:
    """Where the "}" of a "${" is: not one in quotes or in brackets of its own; a quote that is never closed is none."""
    depth, begin = 0, at
    while at < len(text):
        char = text[at]
        if char in "'\"" and (quoted := re.compile(_QUOTED).match(text, at)):
            at = quoted.end()
            continue
        if char == "}" and depth <= 0:
            return at
        depth += (char in _OPENS) - (char in _CLOSES)
        at += 1
    first = text.find("}", begin)  # of brackets that are never closed: it will be told as what it is
    return first if first >= 0 else None


def _part(inside: str, column: int) -> Part:
    """A reference where it is one, else a calculation. Errors: ExpressionError."""
    stripped = inside.strip()
    column += len(inside) - len(inside.lstrip())
    if not stripped:
        raise ExpressionError("this reference is empty", column, 1, f"a reference begins with {', '.join(ROOTS)}")
    plain = _plain(stripped)
    return expression(stripped, column) if plain is None else plain


def bare(text: str) -> Part:
    """Read a text that is a calculation as it stands. Errors: ExpressionError."""
    return replace(_part(text, 0), start=0, stop=len(text))


def inside_of(text: str, part: Part) -> str:
    """What a scalar's text has inside the `${ }` of a part; all of it where there is none."""
    whole = text[part.start : part.stop]
    return whole[2:-1] if whole.startswith("${") else whole


def _plain(text: str) -> Reference | None:
    root = re.match(_WORD, text)
    if root is None or root[0] not in ROOTS:
        return None
    path: list[str | int] = []
    at = root.end()
    while at < len(text):
        step = re.compile(_STEP).match(text, at)
        if step is None or (root[0] in ("item", "run") and step["name"] and re.search(_LESS, step["name"])):
            return None
        path.append(int(step["index"]) if step["index"] is not None else step["name"] or step["key"])
        at = step.end()
    return Reference(root[0], tuple(path))


def expression(source: str, column: int = 0) -> Expression:
    """Read a Jinja expression that begins at this column. Errors: ExpressionError."""
    from pipeline_runner.syntax import formulas  # Jinja: only who calculates needs it

    try:
        found = formulas.names(source)
    except formulas.CannotRead as error:
        raise ExpressionError(error.why, column + error.at, error.width or len(source), error.cure) from None
    reads = tuple(Reference(root, steps, *_place(source, root, steps, column), opt) for root, steps, opt in found)
    for reference in reads:
        if reference.root not in ROOTS:
            dashed = _dashed(source)
            guess = "" if dashed else did_you_mean(reference.root, ROOTS)
            cure = dashed or f"there is {', '.join(ROOTS)}"
            raise ExpressionError(f'unknown name "{reference.root}"{guess}', reference.start, len(reference.root), cure)
    return Expression(source, reads)


def _place(source: str, root: str, steps: tuple[str | int, ...], column: int) -> tuple[int, int]:
    """Where a name stands in an expression: Jinja tells only the line."""
    more = rf"\s*\.\s*{re.escape(str(steps[0]))}\b" if steps else ""
    found = re.search(rf"\b{re.escape(root)}\b{more}", source) or re.search(rf"\b{re.escape(root)}\b", source)
    start = column + (found.start() if found else 0)
    return start, start + (len(found[0]) if found else len(source))


def _dashed(source: str) -> str:
    """`stages.my-stage | length` is read as a subtraction."""
    dashed = re.search(r"\b(params|env|stages)\.(\w+(?:-\w+)+)", source)
    return f"for a name with a dash write {dashed[1]}['{dashed[2]}']" if dashed else ""


SCALARS = frozenset({str, int, float, bool, type(None)})  # in which nothing can be named


def references(template: Any) -> Iterator[Reference]:
    """Every reference in a nested value, in reading order."""
    if type(template) in SCALARS:
        return
    match template:
        case Reference():
            yield template
        case Expression():
            yield from template.reads
        case Text(parts):
            for part in parts:
                yield from references(part)
        case Template():
            yield from template.reads
        case Mapping():
            for value in template.values():
                if type(value) not in SCALARS:
                    yield from references(value)
        case list() | tuple():
            for value in template:
                if type(value) not in SCALARS:
                    yield from references(value)


def render(template: Any, scope: Scope) -> Any:
    """Fill in what the scope knows; references to other roots stay.

    Errors: ExpressionError when a path leads nowhere.
    """
    match template:
        case Reference():
            return follow(template, scope[template.root]) if template.root in scope else template
        case Expression():
            return _computed(template, scope)
        case Text(parts):
            done = [render(part, scope) for part in parts]
            joined: list[str | Part] = []
            for part in done:
                if isinstance(part, Text):  # a parameter that stands for such a text
                    joined += part.parts
                elif isinstance(part, Part):
                    joined.append(part)
                elif joined and isinstance(last := joined[-1], str):
                    joined[-1] = last + as_text(part)
                else:
                    joined.append(as_text(part))
            return joined[0] if len(joined) == 1 and isinstance(joined[0], str) else Text(tuple(joined))
        case Template():
            return template.filled(scope)
        case Mapping():
            return {key: render(value, scope) for key, value in template.items()}
        case list():
            return [render(value, scope) for value in template]
        case tuple():
            return tuple(render(value, scope) for value in template)
    return template


def _computed(template: Expression, scope: Scope) -> Any:
    """The value of an expression, or the expression with what is known now."""
    known = {**template.known, **{ref.root: scope[ref.root] for ref in template.reads if ref.root in scope}}
    if any(reference.root not in known for reference in template.reads):
        return replace(template, known=known)
    from pipeline_runner.syntax import formulas

    if template.stands and "stages" in known:
        wanted = frozenset(str(ref.path[0]) for ref in template.reads if ref.root == "stages")
        known["stages"] = _Standing(known["stages"], template.stands, wanted)

    try:
        return formulas.compute(template.source, known)
    except formulas.CannotCompute as error:
        raise ExpressionError(f"{template} has no value: {error}") from error


@dataclass(frozen=True)
class _Standing(Mapping[str, Any]):
    """`${stages}` as an expression of another file knows it: its names stand for others."""

    stages: Mapping[str, Any]
    stands: Mapping[str, Ends]
    wanted: frozenset[str]  # the stages that are read: of those beside them not all need have ended

    def __getitem__(self, name: str) -> Any:
        return self._of(self.stands.get(name, name))

    def _of(self, ends: Ends) -> Any:
        if isinstance(ends, str):
            return self.stages[ends]
        return {name: self._of(end) for name, end in ends.items() if not self.wanted.isdisjoint(ends_of(end))}

    def __contains__(self, name: object) -> bool:
        return name in self.stands or name in self.stages

    def __iter__(self) -> Iterator[str]:
        return iter(self.stands)

    def __len__(self) -> int:
        return len(self.stands)


def ends_of(ends: Ends) -> Iterator[str]:
    """The stages themselves."""
    if isinstance(ends, str):
        yield ends
        return
    for end in ends.values():
        yield from ends_of(end)


def follow(reference: Reference, value: Any) -> Any:
    """Walk a reference's path into a value: keys, indexes, then public attributes that are no methods."""
    for step in reference.path:
        value = _step(reference, value, step)
    return value


def _followed(reference: Reference, value: Any) -> Any:
    """The same as far as it leads: an expression may test whether something is there."""
    try:
        return follow(reference, value)
    except ExpressionError:
        return None


def _step(reference: Reference, value: Any, step: str | int) -> Any:
    if isinstance(value, Reference):  # a parameter that stands for something of the run
        return replace(value, path=(*value.path, step))
    if isinstance(value, Expression | Text):
        raise ExpressionError(f"{reference} leads nowhere: what is in {value} is only known during the run")
    if isinstance(value, Mapping):
        if step in value:
            return value[step]
        known = ", ".join(map(str, value)) or "nothing"
        raise ExpressionError(f'{reference} leads nowhere: there is no "{step}"; there is {known}')
    if isinstance(step, str) and step.isdecimal() and isinstance(value, Sequence):  # `item.0`
        step = int(step)
    if isinstance(step, int):
        try:
            return value[step]
        except (IndexError, TypeError, KeyError) as error:
            raise ExpressionError(f"{reference} leads nowhere: {error}") from error
    if not step.startswith("_") and hasattr(value, step) and not callable(getattr(value, step)):
        return getattr(value, step)
    raise ExpressionError(f'{reference} leads nowhere: {kind_of(value)} has no "{step}"')


def as_text(value: Any) -> str:
    """A value inside text, in YAML's spelling: true, null."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def as_written(template: Any) -> str:
    """A text with its `${…}` as people wrote it."""
    return "".join(map(str, template.parts)) if isinstance(template, Text) else as_text(template)


def map_leaves(template: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same nesting, every scalar leaf replaced by leaf(it)."""
    if isinstance(template, Mapping):
        return {key: map_leaves(value, leaf) for key, value in template.items()}
    if isinstance(template, list):
        return [map_leaves(value, leaf) for value in template]
    return leaf(template)
