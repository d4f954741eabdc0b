"""Chooses a method for a stage: what the stage says is a constraint, what it leaves out is our choice, with the reason.

Constraints are tried one after another (first the axes, then what a library can do at all), so that
when nothing is left the last one is what there is to complain about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial

from pipeline_runner.axes import Dispatch, Returns, StartMethod, Style
from pipeline_runner.backends import Table
from pipeline_runner.classes import dataclass, replace
from pipeline_runner.errors import Problem, Problems
from pipeline_runner.methods import Backend, Method
from pipeline_runner.plan.measured import Insight, Measured, insight
from pipeline_runner.plan.plan import Choice
from pipeline_runner.plan.problems import (
    BackendCannot,
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
from pipeline_runner.plan.readings import Reading, fits, left_whole, readings
from pipeline_runner.plan.taste import Offer, Taste, reasons
from pipeline_runner.spec.pipeline import StageName, StageSpec, Zip


@dataclass(frozen=True)
class Inflow:
    """A source whose items could stream into the stage, if its method takes calls as they come."""

    source: StageName
    written: bool  # the user wrote `returns: iterator` or `unordered` there


def choose(
    stage: StageSpec,
    table: Table,
    inflows: Sequence[Inflow] = (),
    measured: Measured | None = None,
    calls: int | None = None,
) -> Choice:
    """The method, with the reason and the runner-up. Errors: Problems, all that can be told at once.

    `measured` is what is known of the methods' times, `calls` how many calls there will be: None where nobody knows.
    """
    named = _named(stage, table)
    problems = [*_source_problems(stage, named), *_contradictions(stage, named, table)]
    if problems:
        raise Problems(problems)
    styles = readings(stage, named)
    offers = [offer for offer in _offers(stage, table, styles) if named is None or offer.method is named]
    if not offers:
        raise Problems([_no_method(stage, table, styles)])
    offers = _able(stage, table, offers)
    written = next((inflow for inflow in inflows if inflow.written), None)
    if named is not None and not named.lazy and written is not None:
        raise Problems([_stream_into_eager(stage, named, written.source, table)])
    taste = Taste(stage, bool(inflows))
    best, *others = sorted(offers, key=taste.costs)
    if named is not None:
        others = sorted(_unnamed(stage, table), key=taste.costs)
    second = next((offer for offer in others if offer.method is not best.method), None)
    choice = _choice(stage, best, second, taste)
    found = None if named or measured is None else insight(best, [best, *others], measured, calls)
    return choice if found is None else _by_measurement(choice, best, found)


def candidates(stage: StageSpec, table: Table) -> list[Choice]:
    """Every method that gives each call of the stage what it is given now, the one that we like best first; those of
    this very process too, which are never chosen unless somebody asks for them."""
    abilities = [able for able, _ in _abilities(stage, table)]
    found: dict[str, Choice] = {}
    offers = _offers(stage, table, readings(stage), anywhere=True)
    for offer in sorted(offers, key=Taste(stage, streamed=False).costs):
        # One that is asked for f(item) by itself only since `args` is left out would be another one if it were named.
        if offer.style in offer.method.styles and all(able(offer.backend) for able in abilities):
            returns = stage.returns or _returns(stage, offer.method)
            found.setdefault(offer.method.name, Choice(offer.method, offer.backend, offer.style, returns, "it fits"))
    return list(found.values())


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


def _source_problems(stage: StageSpec, named: Method | None) -> list[Problem]:
    """What `args`, or the named method, cannot do with `over`."""
    key, word, styles = "args", str(stage.style), {stage.style} if stage.style else set()
    if stage.style is None and named is not None:
        key, word, styles = "method", named.name, set(named.styles)
    if not styles or any(fits(style, stage.over) for style in styles):
        return []
    if stage.over is None:
        return [NoItems(mark=stage.mark(key), stage=stage.name, key=key, word=word)]
    fitting = tuple(str(style) for style in Style if fits(style, stage.over)) if key == "args" else ()
    gives = "columns" if isinstance(stage.over, Zip) else "items"
    return [SourceMisfits(mark=stage.mark(key), stage=stage.name, key=key, word=word, gives=gives, fitting=fitting)]


# The axes


def _contradictions(stage: StageSpec, named: Method | None, table: Table) -> list[Problem]:
    """Where the named method is not what dispatch, args, returns or backend say: one problem for all of them."""
    if named is None:
        return []
    found = [
        MethodContradicts(
            mark=stage.mark("method"),
            stage=stage.name,
            method=named.name,
            key=key,
            asked=asked,
            really=really,
            note=named.note if asked == _surveyed(named, key) else "",
        )
        for key, asked, really in _axes(stage, named, table.owners[named.name])
        if asked is not None and asked not in really
    ]
    if not found:
        return []
    fitting = _suggestions(stage, _offers(stage, table, readings(stage)))
    return [replace(found[0], fitting=fitting, more=tuple(found[1:]))]


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


def _offers(
    stage: StageSpec, table: Table, styles: Mapping[Style, Reading], *, anywhere: bool = False
) -> Iterable[Offer]:
    """Every method that is what the stage says on all axes, in each style in which it could be read."""
    anywhere = anywhere or _asks_for_this_process(stage)
    whole = left_whole(stage, styles)
    for backend in table.backends:
        if stage.backend not in (None, backend.keyword) or (backend.in_process and not anywhere):
            continue
        if not (backend.local or _asks_for(stage, backend)):
            continue
        for method in backend.methods:
            if stage.dispatch in (None, method.dispatch) and (stage.returns is None or stage.returns in method.offers):
                for style, reading in styles.items():
                    if style in method.styles:
                        yield Offer(method, backend, style, reading)
                    elif whole and method.style is Style.SINGLE:
                        yield Offer(method, backend, style, Reading.SINGLY)


def _asks_for_this_process(stage: StageSpec) -> bool:
    """Whether calls may run in the runner itself: never as our own idea, and one by one is what serial is for."""
    return stage.backend is not None or stage.method is not None or stage.dispatch is Dispatch.BLOCKING


def _asks_for(stage: StageSpec, backend: Backend) -> bool:
    """Whether a stage names this backend, or a method of it: no run goes to a cluster by our own idea."""
    return stage.backend == backend.keyword or any(stage.method in (m.name, *m.aliases) for m in backend.methods)


def _no_method(stage: StageSpec, table: Table, styles: Mapping[Style, Reading]) -> Problem:
    usual = next(iter(styles))
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
            possible = backend.local or _asks_for(stage, backend)
            if possible and _installed(backend) and any(fits(style, stage.over) for style in method.styles):
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
    fitting = [word for word in words if word != Returns.NONE and (key != "args" or fits(Style(word), stage.over))]
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
    for key, value in (
        ("timeout", stage.timeout_s),
        ("memory", stage.memory_bytes),
        ("max_calls_per_worker", stage.max_calls_per_worker),
        ("workdir", stage.workdir),
        ("pipeline", stage.folder),
    ):
        if value is not None:
            yield _in_workers, partial(_in_process, stage, table, key)
    if stage.limits:
        yield partial(_keeps, "limits"), partial(_cannot, stage, table, "limits")


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


def _keeps(key: str, backend: Backend) -> bool:
    return key not in backend.cannot


def _cannot(stage: StageSpec, table: Table, key: str, backend: Backend) -> Problem:
    return BackendCannot(
        mark=stage.mark(key),
        stage=stage.name,
        key=key,
        backend=backend.keyword,
        why=backend.cannot[key],
        fitting=_keywords(table, partial(_keeps, key)),
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
    return tuple(dict.fromkeys(backend.keyword for backend in table.backends if backend.local and able(backend)))


def _unnamed(stage: StageSpec, table: Table) -> Iterable[Offer]:
    """The methods that would do if none had been named."""
    abilities = [able for able, _ in _abilities(stage, table)]
    for offer in _offers(stage, table, readings(stage)):
        if all(able(offer.backend) for able in abilities):
            yield offer


def _stream_into_eager(stage: StageSpec, named: Method, source: StageName, table: Table) -> Problem:
    """The problem, with the methods that give every call the same arguments and take calls as they come."""
    style = next(iter(readings(stage, named)))
    # f(*row) is what `single` makes of a row too.
    styles = {style: Reading.USUAL} | ({Style.SINGLE: Reading.SINGLY} if style is Style.STAR else {})
    offers = [offer for offer in _offers(stage, table, styles) if offer.method.lazy and offer.method.parallel]
    return StreamIntoEager(
        mark=stage.mark("method"),
        stage=stage.name,
        method=named.name,
        source=source,
        lazy=_suggestions(stage, offers),
    )


def _suggestions(stage: StageSpec, offers: Iterable[Offer], most: int = 5) -> tuple[str, ...]:
    """The best of these methods by name, those that run here in worker processes first."""
    here = sorted((offer for offer in offers if _installed(offer.backend)), key=Taste(stage, streamed=False).costs)
    outside = [offer for offer in here if not offer.backend.in_process]
    return tuple(dict.fromkeys(offer.method.name for offer in outside or here))[:most]


# The choice


def _choice(stage: StageSpec, best: Offer, second: Offer | None, taste: Taste) -> Choice:
    returns = stage.returns or _returns(stage, best.method)
    why, why_not = reasons(stage, best, second, taste)
    return Choice(best.method, best.backend, best.style, returns, why, second.method if second else None, why_not)


def _by_measurement(choice: Choice, own: Offer, found: Insight) -> Choice:
    """The choice that a measurement has made, or has confirmed."""
    taken = found.offer
    if taken is own:
        return replace(choice, why=f"{choice.why}; {found.why}")
    why_not = "would be chosen if nothing had been measured"
    return Choice(taken.method, taken.backend, taken.style, choice.returns, found.why, own.method, why_not)


def _returns(stage: StageSpec, method: Method) -> Returns:
    """What a stage hands back that does not say: a stream in order where there is one, and never nothing."""
    if Returns.ITERATOR in method.offers:
        return Returns.ITERATOR
    if method.returns is not Returns.NONE:
        return method.returns
    wanted = (Returns.APPLY_RESULT, Returns.LIST) if stage.over is None else (Returns.LIST, Returns.APPLY_RESULT)
    return next((returns for returns in wanted if returns in method.offers), Returns.NONE)
