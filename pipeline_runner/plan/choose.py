"""Chooses a method for a stage: what the stage says is a constraint, what it leaves out is our choice, with the reason.

Constraints are tried one after another (first the axes, then what a library can do at all), so that
when nothing is left the last one is what there is to complain about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, partial
from typing import NamedTuple

from pipeline_runner.axes import Dispatch, Returns, StartMethod, Style
from pipeline_runner.backends import Table
from pipeline_runner.errors import Problem, Problems
from pipeline_runner.methods import Backend, Method
from pipeline_runner.plan.plan import Choice
from pipeline_runner.plan.problems import (
    BackendUnavailable,
    InProcessMisfits,
    MethodContradicts,
    Near,
    NoItems,
    NoMethod,
    SourceMisfits,
    StartMethodMisfits,
    StreamIntoEager,
    UnknownBackend,
    UnknownMethod,
)
from pipeline_runner.spec.pipeline import (
    Csv,
    Generate,
    Glob,
    Items,
    Jsonl,
    Lines,
    Range,
    Source,
    StageName,
    StageSpec,
    Zip,
)


@dataclass(frozen=True)
class Inflow:
    """A source whose items could stream into the stage, if its method takes calls as they come."""

    source: StageName
    written: bool  # the user wrote `returns: iterator` or `unordered` there


class Reading(IntEnum):
    """How near an argument style is to what `args` means when it is left out."""

    USUAL = 0
    ROWS = 1  # another shape, but every call gets the same arguments
    SINGLY = 2  # the same, one call at a time
    LAST = 3  # list and mapping items are spread; only when nothing else is there


class Offer(NamedTuple):
    """A method in the style in which the stage would use it."""

    method: Method
    backend: Backend
    style: Style
    reading: Reading


def choose(stage: StageSpec, table: Table, inflows: Sequence[Inflow] = ()) -> Choice:
    """The method, with the reason and the runner-up. Errors: Problems, all that can be told at once."""
    named = _named(stage, table)
    problems = [*_source_problems(stage, named), *_contradictions(stage, named, table)]
    if problems:
        raise Problems(problems)
    readings = _readings(stage, named)
    offers = [offer for offer in _offers(stage, table, readings) if named is None or offer.method is named]
    if not offers:
        raise Problems([_no_method(stage, table, readings)])
    offers = _able(stage, table, offers)
    written = next((inflow for inflow in inflows if inflow.written), None)
    if named is not None and not named.lazy and written is not None:
        raise Problems([_stream_into_eager(stage, named, written.source, table)])
    taste = Taste(stage, bool(inflows))
    best = min(offers, key=taste.key)
    others = _others(stage, table, best) if named else (offer for offer in offers if offer.method is not best.method)
    return _choice(stage, best, min(others, key=taste.key, default=None), taste)


def _named(stage: StageSpec, table: Table) -> Method | None:
    """The row that `method` names. Errors: Problems when method or backend is a name of nothing."""
    problems: list[Problem] = []
    if stage.backend is not None and stage.backend not in table.keywords:
        problems.append(
            UnknownBackend(
                mark=stage.mark("backend"), stage=stage.name, backend=stage.backend, known=tuple(table.keywords)
            )
        )
    named = table.find(stage.method) if stage.method is not None else None
    if stage.method is not None and named is None:
        problems.append(
            UnknownMethod(mark=stage.mark("method"), stage=stage.name, method=stage.method, known=tuple(table.names))
        )
    if problems:
        raise Problems(problems)
    return named


# What `args` means


def _readings(stage: StageSpec, named: Method | None = None) -> Mapping[Style, Reading]:
    """The styles in which the stage may be read, the usual one first."""
    if stage.style is not None:
        return {stage.style: Reading.USUAL}
    if named is not None and _fits(named.style, stage.over):
        return {named.style: Reading.USUAL}
    return _usual_readings(stage)


def _usual_readings(stage: StageSpec) -> Mapping[Style, Reading]:
    if stage.over is None:
        return {Style.SINGLE: Reading.USUAL}
    if isinstance(stage.over, Zip):
        return {Style.ZIP: Reading.USUAL, Style.STAR: Reading.ROWS, Style.SINGLE: Reading.SINGLY}
    if stage.dispatch is Dispatch.BATCH:
        return {Style.SINGLE: Reading.USUAL}
    return {Style.MAP: Reading.USUAL, Style.SINGLE: Reading.SINGLY if _plain(stage.over) else Reading.LAST}


def _plain(source: Source) -> bool:
    """Whether no item is a list or a mapping, as far as can be known: then f(item) and f(*item) are the same call."""
    match source:
        case Range() | Glob() | Lines():
            return True
        case Items(list() | tuple() as values):
            return not any(isinstance(value, list | tuple | Mapping) for value in values)
    return False


def _fits(style: Style, source: Source | None) -> bool:
    """Whether a style can take what `over` gives."""
    match style:
        case Style.SINGLE:
            return True
        case Style.STAR:
            return source is not None
        case Style.MAP:
            return source is not None and not isinstance(source, Zip)
        case Style.ZIP:
            return isinstance(source, Zip)


def _source_problems(stage: StageSpec, named: Method | None) -> list[Problem]:
    """What `args`, or the named method, cannot do with `over`."""
    key, word, styles = "args", str(stage.style), {stage.style} if stage.style else set()
    if stage.style is None and named is not None:
        key, word, styles = "method", named.name, set(named.styles)
    if not styles or any(_fits(style, stage.over) for style in styles):
        return []
    if stage.over is None:
        return [NoItems(mark=stage.mark(key), stage=stage.name, key=key, word=word)]
    fitting = tuple(str(style) for style in Style if _fits(style, stage.over)) if key == "args" else ()
    gives = "columns" if isinstance(stage.over, Zip) else "items"
    return [SourceMisfits(mark=stage.mark(key), stage=stage.name, key=key, word=word, gives=gives, fitting=fitting)]


# The axes


def _contradictions(stage: StageSpec, named: Method | None, table: Table) -> list[Problem]:
    """Where the named method is not what dispatch, args, returns or backend say."""
    if named is None:
        return []
    problems: list[Problem] = []
    for key, asked, really in _axes(stage, named, table.owners[named.name]):
        if asked is None or asked in really:
            continue
        problems.append(
            MethodContradicts(
                mark=stage.mark("method"),
                stage=stage.name,
                method=named.name,
                key=key,
                asked=asked,
                really=really,
                note=named.note if asked == _surveyed(named, key) else "",
                fitting=_suggestions(stage, _offers(stage, table, _readings(stage))),
            )
        )
    return problems


def _axes(stage: StageSpec, method: Method, backend: Backend) -> list[tuple[str, str | None, tuple[str, ...]]]:
    """Each axis: its YAML key, what the stage says, what the method offers (its own word first)."""
    returns = [method.returns, *sorted(method.also_returns)]
    styles = [method.style, *sorted(method.also_styles)]
    return [
        ("dispatch", stage.dispatch, (method.dispatch,)),
        ("args", stage.style, tuple(dict.fromkeys(styles))),
        ("returns", None if stage.returns is Returns.NONE else stage.returns, tuple(dict.fromkeys(returns))),
        ("backend", stage.backend, (backend.keyword,)),
    ]


def _surveyed(method: Method, key: str) -> str | None:
    """What the article says of the method on this axis."""
    if method.surveyed is None:
        return None
    words = {"dispatch": method.surveyed.dispatch, "args": method.surveyed.style, "returns": method.surveyed.returns}
    return words.get(key)


def _offers(stage: StageSpec, table: Table, readings: Mapping[Style, Reading]) -> Iterable[Offer]:
    """Every method that is what the stage says on all axes, in each style in which it could be read."""
    for backend in table.backends:
        if stage.backend not in (None, backend.keyword) or (backend.in_process and not _asks_for_this_process(stage)):
            continue
        for method in backend.methods:
            if stage.dispatch in (None, method.dispatch) and (stage.returns is None or stage.returns in method.offers):
                for style, reading in readings.items():
                    if style in method.styles:
                        yield Offer(method, backend, style, reading)


def _asks_for_this_process(stage: StageSpec) -> bool:
    """Whether calls may run in the runner itself: never as our own idea, and one by one is what serial is for."""
    return stage.backend is not None or stage.method is not None or stage.dispatch is Dispatch.BLOCKING


def _no_method(stage: StageSpec, table: Table, readings: Mapping[Style, Reading]) -> Problem:
    usual = next(iter(readings))
    asked = [("dispatch", stage.dispatch), ("args", usual), ("returns", stage.returns), ("backend", stage.backend)]
    key = next((key for key in ("returns", "dispatch", "args", "backend") if key in stage.marks), "")
    return NoMethod(
        mark=stage.mark(key),
        stage=stage.name,
        asked=tuple((key, str(word)) for key, word in asked if word is not None),
        nearest=_nearest(stage, table),
    )


def _nearest(stage: StageSpec, table: Table, most: int = 4) -> tuple[Near, ...]:
    """The methods for which the least would have to change, one for each change that would do."""
    found: dict[tuple[tuple[str, str], ...], Near] = {}
    for backend in sorted(table.backends, key=lambda backend: backend.in_process):
        for method in backend.methods:
            if _installed(backend) and any(_fits(style, stage.over) for style in method.styles):
                changes = _changes(stage, method, backend)
                found.setdefault(changes, Near(method.name, changes))
    fewest = min((len(changes) for changes in found), default=0)
    near = [near for changes, near in found.items() if len(changes) == fewest]
    return tuple(sorted(near, key=_weight)[:most])


def _changes(stage: StageSpec, method: Method, backend: Backend) -> tuple[tuple[str, str], ...]:
    """What the stage would have to say instead of what it says, to get this method."""
    changes = [
        (key, _told(stage, key, really))
        for key, asked, really in _axes(stage, method, backend)
        if asked is not None and asked not in really
    ]
    if backend.in_process and not _asks_for_this_process(stage):
        changes.append(("backend", backend.keyword))
    return tuple(changes)


def _told(stage: StageSpec, key: str, words: tuple[str, ...]) -> str:
    """The word to show of those that an axis offers: one that `over` fits, and to keep nothing is nobody's wish."""
    fitting = [word for word in words if word != Returns.NONE and (key != "args" or _fits(Style(word), stage.over))]
    return str((fitting or words)[0])


def _weight(near: Near) -> int:
    """How much a change changes: another library least, another shape of the calls most."""
    weights = {"backend": 0, "returns": 1, "dispatch": 2, "args": 3}
    return sum(weights[key] for key, _ in near.changes)


# What a library can do at all


def _able(stage: StageSpec, table: Table, offers: Sequence[Offer]) -> list[Offer]:
    """Those that can also give start method, timeout and recycling, and are installed. Errors: Problems."""
    left = list(offers)
    problems: list[Problem] = []
    for able, complain in _abilities(stage, table):
        fitting = [offer for offer in left if able(offer.backend)]
        if fitting:
            left = fitting
        else:
            problems.append(complain(left[0].backend))
    if problems:
        raise Problems(problems)
    return left


Ability = tuple[Callable[[Backend], bool], Callable[[Backend], Problem]]


def _abilities(stage: StageSpec, table: Table) -> Iterable[Ability]:
    """What the backend must be able to do, each with the complaint about one that cannot."""
    yield _installed, partial(_unavailable, stage)
    if stage.start_method is not None:
        yield partial(_starts_by, stage.start_method), partial(_start, stage, stage.start_method, table)
    for key, value in (("timeout", stage.timeout_s), ("max_calls_per_worker", stage.max_calls_per_worker)):
        if value is not None:
            yield _in_workers, partial(_in_process, stage, table, key)


def _starts_by(start_method: StartMethod, backend: Backend) -> bool:
    return start_method in backend.start_methods


def _installed(backend: Backend) -> bool:
    return _missing(backend.unavailable) is None


@cache
def _missing(unavailable: Callable[[], str | None]) -> str | None:
    """Why a backend cannot be used, asked once: it may have to look for its library on the disk."""
    return unavailable()


def _in_workers(backend: Backend) -> bool:
    return not backend.in_process


def _unavailable(stage: StageSpec, backend: Backend) -> Problem:
    return BackendUnavailable(
        mark=stage.mark("backend", "method"),
        stage=stage.name,
        backend=backend.keyword,
        why=_missing(backend.unavailable) or "",
    )


def _start(stage: StageSpec, start_method: StartMethod, table: Table, backend: Backend) -> Problem:
    return StartMethodMisfits(
        mark=stage.mark("start_method"),
        stage=stage.name,
        start_method=str(start_method),
        backend=backend.name,
        offers=tuple(sorted(backend.start_methods)),
        fitting=_keywords(table, partial(_starts_by, start_method)),
    )


def _in_process(stage: StageSpec, table: Table, key: str, backend: Backend) -> Problem:
    return InProcessMisfits(
        mark=stage.mark(key),
        stage=stage.name,
        key=key,
        backend=backend.keyword,
        fitting=_keywords(table, _in_workers),
    )


def _keywords(table: Table, able: Callable[[Backend], bool]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(backend.keyword for backend in table.backends if able(backend)))


def _others(stage: StageSpec, table: Table, best: Offer) -> Iterable[Offer]:
    """Other methods that would do: for a named method, as if it had not been named."""
    abilities = [able for able, _ in _abilities(stage, table)]
    for offer in _offers(stage, table, _readings(stage)):
        if offer.method is not best.method and all(able(offer.backend) for able in abilities):
            yield offer


def _stream_into_eager(stage: StageSpec, named: Method, source: StageName, table: Table) -> Problem:
    """The problem, with the methods that give every call the same arguments and take calls as they come."""
    style = next(iter(_readings(stage, named)))
    # f(*row) is what `single` makes of a row too.
    readings = {style: Reading.USUAL} | ({Style.SINGLE: Reading.SINGLY} if style is Style.STAR else {})
    offers = [offer for offer in _offers(stage, table, readings) if offer.method.lazy and offer.method.parallel]
    return StreamIntoEager(
        mark=stage.mark("method"),
        stage=stage.name,
        method=named.name,
        source=source,
        lazy=_suggestions(stage, offers),
    )


def _suggestions(stage: StageSpec, offers: Iterable[Offer], most: int = 5) -> tuple[str, ...]:
    """The best of these methods by name, those that run here in worker processes first."""
    here = sorted((offer for offer in offers if _installed(offer.backend)), key=Taste(stage, streamed=False).key)
    outside = [offer for offer in here if not offer.backend.in_process]
    return tuple(dict.fromkeys(offer.method.name for offer in outside or here))[:most]


# Taste: what we prefer when several fit


@dataclass(frozen=True)
class Taste:
    """The order of preference for a stage: a list of reasons, the first in which two offers differ decides."""

    stage: StageSpec
    streamed: bool  # a source could stream into it

    def key(self, offer: Offer) -> tuple[int, ...]:
        """Smaller is better."""
        return tuple(cost for cost, _, _ in self.reasons(offer))

    def reasons(self, offer: Offer) -> list[tuple[int, str, str]]:
        """(cost, what speaks for an offer that has the lower cost, what speaks against one that has the higher)."""
        method, backend = offer.method, offer.backend
        many = self.stage.over is not None
        returns = self.stage.returns
        read_as_it_comes = self.streamed or _long(self.stage.over)
        return [
            (offer.reading is Reading.LAST, "gives each call its item as it is", "spreads list and mapping items"),
            (backend.in_process, "runs in worker processes", "runs in this process"),
            (many and not method.parallel, "runs calls side by side", "runs one call at a time"),
            (offer.reading, f"takes args: {offer.style}", f"takes args: {offer.style}"),
            (
                read_as_it_comes and not method.lazy,
                "takes calls as they come",
                "wants all its input before it starts",
            ),
            (
                not many and self.stage.dispatch is None and method.dispatch is not Dispatch.BLOCKING,
                "is one call and its value",
                "gives a handle where there is only one call",
            ),
            (backend.rank, "starts fast", "starts slower"),
            (many and not method.lazy, "takes calls as they come", "wants all its input before it starts"),
            (
                returns is None and Returns.ITERATOR not in method.offers,
                "hands values on in call order while it runs",
                "hands values on in the order in which they end"
                if Returns.UNORDERED in method.offers
                else "hands nothing on before its end",
            ),
            (not method.refills, "gives a free worker the next call at once", "lets a free worker wait"),
            (not method.ordered, "keeps call order", "gives values in the order in which they end"),
            (
                returns is None and method.returns not in (Returns.VALUE, Returns.LIST, Returns.ITERATOR),
                "gives plain values",
                "gives handles",
            ),
        ]


def _long(source: Source | None) -> bool:
    """Whether a source is read as it goes, so that a method that reads all of it first would hold all of it."""
    match source:
        case Lines() | Csv() | Jsonl() | Generate():
            return True
        case Items(values):
            return not isinstance(values, list | tuple | range)
        case Zip(columns):
            return any(_long(column) for column in columns)
    return False


def _choice(stage: StageSpec, best: Offer, second: Offer | None, taste: Taste) -> Choice:
    returns = stage.returns or _returns(stage, best.method)
    why, why_not = _reasons(stage, best, second, taste)
    return Choice(best.method, best.backend, best.style, returns, why, second.method if second else None, why_not)


def _returns(stage: StageSpec, method: Method) -> Returns:
    """What a stage hands back that does not say: a stream in order where there is one, and never nothing."""
    if Returns.ITERATOR in method.offers:
        return Returns.ITERATOR
    if method.returns is not Returns.NONE:
        return method.returns
    wanted = (Returns.APPLY_RESULT, Returns.LIST) if stage.over is None else (Returns.LIST, Returns.APPLY_RESULT)
    return next((returns for returns in wanted if returns in method.offers), Returns.NONE)


def _reasons(stage: StageSpec, best: Offer, second: Offer | None, taste: Taste) -> tuple[str, str]:
    """Why this one, and why not the runner-up, as clauses."""
    caution = _caution(stage, best)
    if stage.method is not None:
        return f"named in the pipeline{caution}", _beside_named(best, second, taste) if second else ""
    asked = ", ".join(_asked(stage))
    if second is None:
        return f"the only one that is {asked}{caution}" if asked else f"the only one{caution}", ""
    merits = f"{_merits(stage, best)} ({asked})" if asked else _merits(stage, best)
    return f"{merits}{caution}", _difference(best, second, taste)[1]


def _beside_named(named: Offer, other: Offer, taste: Taste) -> str:
    """What the best of the methods that were not named has to do with the one that was."""
    if taste.key(other) < taste.key(named):
        return f"would be chosen if none were named: {_difference(other, named, taste)[0]}"
    return _difference(named, other, taste)[1]


def _asked(stage: StageSpec) -> list[str]:
    """What the stage says itself, as `key: word`."""
    words = {"dispatch": stage.dispatch, "args": stage.style, "returns": stage.returns, "backend": stage.backend}
    return [f"{key}: {word}" for key, word in words.items() if word is not None]


def _difference(best: Offer, second: Offer, taste: Taste) -> tuple[str, str]:
    """The first reason in which two offers differ: what speaks for the better, what against the other."""
    for (cost, merit, _), (other, _, flaw) in zip(taste.reasons(best), taste.reasons(second), strict=True):
        if cost != other:
            return merit, flaw
    return "stands first in the table", "as good, but stands later in the table"


def _merits(stage: StageSpec, offer: Offer) -> str:
    """What is good about an offer, in a few words."""
    method = offer.method
    if stage.over is None:
        return "one call in this process" if offer.backend.in_process else "one call in a worker process"
    merits = [
        (not offer.backend.in_process and method.parallel, "parallel processes"),
        (offer.backend.in_process and method.parallel, "parallel threads"),
        (not method.parallel, "one call at a time"),
        (method.lazy, "takes calls as they come"),
        (method.returns is Returns.ITERATOR, "values in call order as they come"),
        (method.returns is Returns.UNORDERED, "values as they end"),
    ]
    return ", ".join(word for holds, word in merits if holds)


def _caution(stage: StageSpec, offer: Offer) -> str:
    """What to know of the choice that might surprise; usually nothing."""
    if offer.reading is Reading.LAST:
        return "; list and mapping items are spread over the parameters, since nothing else fits"
    if isinstance(stage.over, Generate) and stage.over.take is None and not offer.method.lazy:
        return '; reads all of the generator before it starts: if that has no end, bound it with "take"'
    return ""
