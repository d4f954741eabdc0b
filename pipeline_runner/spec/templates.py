"""A node's value with `${params.x}` and `${env.X}` filled in, and every other name in it known to exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from pipeline_runner.classes import dataclass, field
from pipeline_runner.errors import Problem, listed
from pipeline_runner.marks import Mark
from pipeline_runner.spec.problems import BadReference, ReferenceMisplaced, UnknownName, UnknownStage
from pipeline_runner.syntax.expressions import (
    SCALARS,
    Expression,
    ExpressionError,
    Part,
    Reference,
    Text,
    bare,
    expression,
    inside_of,
    parse,
    references,
    render,
)
from pipeline_runner.syntax.reader import ListNode, MapNode, Node, Scalar, TooLarge
from pipeline_runner.typed import Any, NamedTuple
from pipeline_runner.witness import read_variable

MOST_REFERENCES = 1000  # in one text; each is looked for in the file's lines, to be marked
KNOWN_BEFORE = ("params", "env")


class Broken:
    """Stands for a value in which something is wrong, and was told."""


@dataclass(frozen=True)
class Names:
    """What references may speak of."""

    params: Mapping[str, Any]
    env: Mapping[str, str]
    stages: tuple[str, ...] = ()
    run: tuple[str, ...] = ("id", "dir")

    @cached_property
    def sound(self) -> dict[tuple[str, str, tuple[str, ...]], _Sound]:
        """Texts that were read and are right: by what they say, the key in which they stand, and what may stand there.
        Thousands of stages say a few."""
        return {}

    @cached_property
    def any_stage(self) -> frozenset[str]:
        """The stages again: thousands of them are looked for one by one."""
        return frozenset(self.stages)


class Spot(NamedTuple):
    """Where a reference stands in the text of a scalar. It is looked for in the file when somebody asks."""

    node: Scalar
    start: int
    width: int

    @property
    def mark(self) -> Mark:
        return self.node.inside(self.start, self.width)


class _Sound(NamedTuple):
    """What a text means, and which references stand where in it: (str(reference), start, width)."""

    value: Any
    places: tuple[tuple[str, int, int], ...]


@dataclass
class Filler:
    """Fills nodes, and gathers the problems and the places of what it meets."""

    names: Names
    problems: list[Problem] = field(default_factory=list)
    places: dict[str, Spot] = field(default_factory=dict)  # str(reference) → where it stands first

    def fill(self, node: Node, key: str, roots: tuple[str, ...] = KNOWN_BEFORE, why: str = "") -> Any:
        """The node's value; `Broken` leaves are problems already told.

        `roots` are the names whose values may be asked for here, `why` tells why the others may not.
        """
        if type(node) is Scalar:  # most of all, and thousands
            text = node.value
            return self._text(node, text, key, roots, why) if type(text) is str and "${" in text else text
        match node:
            case MapNode():
                return {k: self.fill(entry.value, key, roots, why) for k, entry in node.entries.items()}
            case ListNode():
                return [self.fill(item, key, roots, why) for item in node.items]
            case _:
                raise AssertionError("a node of another kind: this is our bug")

    def _text(self, node: Scalar, text: str, key: str, roots: tuple[str, ...], why: str) -> Any:
        """The same text in the same key means the same in every stage: it is read once, and told where it stands."""
        known = self.names.sound.get((text, key, roots))
        if known is not None:
            for name, start, width in known.places:
                self.places.setdefault(name, Spot(node, start, width))
            return known.value
        before, others, self.places = len(self.problems), self.places, {}
        parts = self.parts(node, text, key, roots, why)
        found, self.places = self.places, others
        for name, spot in found.items():
            self.places.setdefault(name, spot)
        if parts is None:
            return Broken()
        value = render(parts[0] if len(parts) == 1 else Text(parts), self.known)
        if len(self.problems) == before:
            places = tuple((name, spot.start, spot.width) for name, spot in found.items())
            self.names.sound[text, key, roots] = _Sound(value, places)
        return value

    @property
    def known(self) -> Mapping[str, Any]:
        """What a template is filled in with before the run."""
        return {"params": self.names.params, "env": self.names.env}

    def parts(
        self, node: Scalar, text: str, key: str, roots: tuple[str, ...], why: str = ""
    ) -> tuple[str | Part, ...] | None:
        """A text in its parts, not filled in; None: something in it is wrong, and was told."""
        try:
            template = parse(text)
        except ExpressionError as error:
            if key == "run":
                error.cure = "; ".join(filter(None, [error.cure, _OF_THE_SHELL]))
            self._bad(error, node.inside(error.column, error.width))
            return None
        return self._checked(node, text, template, key, roots, why)

    def calculate(self, node: Scalar, key: str, roots: tuple[str, ...], why: str = "") -> Any:
        """The value of a text that is a calculation as it stands, without `${ }` around it."""
        text = str(node.value)
        try:
            template = bare(text)
        except ExpressionError as error:
            return self._bad(error, node.inside(error.column, error.width))
        parts = self._checked(node, text, template, key, roots, why)
        return Broken() if parts is None else render(parts[0], self.known)

    def _checked(
        self, node: Scalar, text: str, template: str | Part | Text, key: str, roots: tuple[str, ...], why: str
    ) -> tuple[str | Part, ...] | None:
        parts = template.parts if isinstance(template, Text) else (template,)
        if sum(1 for _ in references(template)) > MOST_REFERENCES:
            self.problems.append(TooLarge(mark=node.mark, what="too many references in one text", most=MOST_REFERENCES))
            return None
        before = len(self.problems)
        checked = [part if isinstance(part, str) else self._part(node, text, part, key, roots, why) for part in parts]
        if len(self.problems) == before and (len(checked) > 1 or key == "run"):
            self.problems += self._no_text(checked, node.mark, key)
        return None if len(self.problems) > before else tuple(checked)

    def _part(self, node: Scalar, text: str, part: Part, key: str, roots: tuple[str, ...], why: str) -> Part:
        """The part, when all that it names may stand here; else what is wrong with it has been told."""
        spot = Spot(node, part.start, part.stop - part.start)
        if isinstance(part, Reference):
            problem = self._check(part, spot, key, roots, why)
            if problem is None:
                self.places.setdefault(str(part), spot)
                return part
            less = self._subtraction(part, text)
            if less is None or any(self._check(read, spot, key, roots, why) for read in less.reads):
                self.problems.append(problem)
                return part
            part = less
        before = len(self.problems)
        for reference in part.reads:
            where = Spot(node, reference.start, reference.stop - reference.start)
            self.places.setdefault(str(reference), where)
            if problem := self._check(reference, where, key, roots, why, deep=False):
                self.problems.append(problem)
        if len(self.problems) == before:
            try:
                render(part, self.known)
            except ExpressionError as error:
                self._bad(error, spot.mark)
        return part

    def _no_text(self, parts: Sequence[str | Part], mark: Mark, key: str) -> Iterator[Problem]:
        """What is wrong with a text around a list or mapping of which some is only known during the run."""
        for part in parts:
            if isinstance(part, Reference) and part.root == "params":
                value = render(part, {"params": self.names.params})
                if not isinstance(value, Part) and any(references(value)) and (key == "run" or _many(value)):
                    what = f"{part} cannot stand inside text: some of it is only known during the run"
                    yield BadReference(mark=mark, what=what)

    def _subtraction(self, reference: Reference, text: str) -> Expression | None:
        """`${params.n-1}`, where no parameter has that name."""
        if not any("-" in str(step) for step in reference.path):
            return None
        try:
            inside = inside_of(text, reference)
            return expression(inside.strip(), text.index(inside, reference.start))
        except ExpressionError:
            return None

    def _bad(self, error: ExpressionError, mark: Mark) -> Broken:
        self.problems.append(BadReference(mark=mark, what=error.message, cure=error.cure))
        return Broken()

    def _check(
        self, ref: Reference, spot: Spot, key: str, roots: tuple[str, ...], why: str, deep: bool = True
    ) -> Problem | None:
        """What is wrong with a name here. `deep`: with the rest of its path too."""
        if ref.root not in roots:
            return ReferenceMisplaced(
                mark=spot.mark, reference=str(ref), key=key, why=why or _WHY.get(ref.root, _LATER)
            )
        first = str(ref.path[0]) if ref.path else ""
        if ref.root == "env":
            read_variable(first)
        match ref.root:
            case "params" | "env" if first and ref.optional and first not in self.known[ref.root]:
                return None
            case "params" if first and first not in self.names.params:
                return UnknownName(mark=spot.mark, root="params", name=first, known=tuple(self.names.params))
            case "env" if first and first not in self.names.env:
                return UnknownName(mark=spot.mark, root="env", name=first, known=tuple(self.names.env))
            case "env" | "stages" if not first:
                return BadReference(
                    mark=spot.mark, what=f"{ref} does not say which", cure=f"write ${{{ref.root}.NAME}}"
                )
            case "stages" if first not in self.names.any_stage:
                return UnknownStage(mark=spot.mark, name=first, known=self.names.stages)
            case "run" if first not in self.names.run or (len(ref.path) > 1 and first != "failures"):
                there_is = listed([f"${{run.{name}}}" for name in self.names.run])
                return BadReference(mark=spot.mark, what=f"{ref} leads nowhere", cure=f"there is {there_is}")
            case "params" | "env" if deep:
                try:
                    value = render(ref, self.known)
                except ExpressionError as error:
                    return BadReference(mark=spot.mark, what=error.message, cure=error.cure)
                return self._of_the_run(ref, value, spot, key, roots)
            case "params" if any(references(self.names.params[first] if first else dict(self.names.params))):
                what = f"{ref} is only known during the run here, so nothing can be calculated with it"
                return BadReference(
                    mark=spot.mark, what=what, cure="calculate in the file that gives it, or in a stage"
                )
        return None

    def _of_the_run(self, ref: Reference, value: Any, spot: Spot, key: str, roots: tuple[str, ...]) -> Problem | None:
        """A parameter that the file around gives may stand for what is only known during the run."""
        for read in references(value):
            if read.root not in roots:
                why = f"it is {str(read).replace('^', '')} of the file around, which is only known during the run"
                return ReferenceMisplaced(mark=spot.mark, reference=str(ref), key=key, why=why)
        return None


_OF_THE_SHELL = "what is the shell's own is written $NAME or $${NAME}"
_LATER = "its value is only known during the run"
_WHY = {
    "params": "parameters are not known here",
    "stages": 'results of stages are only known in "over", "with", "run" and "if"',
    "item": 'an item is only known in "with", "run", "deps" and "outs" of a stage that has "over"',
    "index": 'an item\'s number is only known in "with", "run", "deps" and "outs" of a stage that has "over"',
    "run": 'the run is only known in "with" and "run"',
    "out": 'it stands for a file that is being written, in "with" and "run" of a stage that has "outs"',
    "outs": 'they stand for files that are being written, in "with" and "run" of a stage that has "outs"',
}


def _many(value: Any) -> bool:
    return isinstance(value, list | Mapping)


def is_broken(value: Any) -> bool:
    """Whether something in a filled value is wrong."""
    if type(value) in SCALARS:
        return False
    match value:
        case Broken():
            return True
        case dict():
            return any(map(is_broken, value.values()))
        case list():
            return any(map(is_broken, value))
    return False
