"""What we prefer when several methods fit a stage, and how that is told."""

from __future__ import annotations

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.classes import dataclass
from pipeline_runner.methods import Backend, Method
from pipeline_runner.plan.readings import Reading
from pipeline_runner.spec.pipeline import Batches, Csv, Generate, Items, Jsonl, Lines, Source, StageSpec, Zip
from pipeline_runner.spec.sources import endless
from pipeline_runner.typed import NamedTuple


class Offer(NamedTuple):
    """A method in the style in which the stage would use it."""

    method: Method
    backend: Backend
    style: Style
    reading: Reading


@dataclass(frozen=True)
class Taste:
    """The order of preference for a stage: which of two methods comes first."""

    stage: StageSpec
    streamed: bool  # a source could stream into it

    def costs(self, offer: Offer) -> tuple[int, ...]:
        """What speaks against an offer, the most important first: smaller is better, the first difference decides."""
        method, backend = offer.method, offer.backend
        many = self.stage.over is not None
        returns_free = self.stage.returns is None
        return (
            backend.in_process,
            many and not method.parallel,
            offer.reading,
            not method.lazy and (self.streamed or _long(self.stage.over)),
            not many and self.stage.dispatch is None and method.dispatch is not Dispatch.BLOCKING,
            backend.rank,
            many and not method.lazy,
            returns_free and Returns.ITERATOR not in method.offers,
            not method.refills,
            not method.ordered,
            returns_free and method.returns not in (Returns.VALUE, Returns.LIST, Returns.ITERATOR),
        )


def _words(offer: Offer) -> list[tuple[str, str]]:
    """For each of the costs: what is said for an offer with the smaller one, and against one with the greater."""
    at_the_end = "hands nothing on before its end"
    singly = offer.style is not offer.method.style and offer.reading is Reading.SINGLY
    as_they_end = "hands values on in the order in which they end"
    lazy = ("takes calls as they come", "wants all its input before it starts")
    return [
        ("runs in worker processes", "runs in this process"),
        ("runs calls side by side", "runs one call at a time"),
        (f"takes args: {offer.style}", "is asked for one call at a time" if singly else f"takes args: {offer.style}"),
        lazy,
        ("is one call and its value", "gives a handle where there is only one call"),
        ("starts fast", "starts slower"),
        lazy,
        (
            "hands values on in call order while it runs",
            as_they_end if Returns.UNORDERED in offer.method.offers else at_the_end,
        ),
        ("gives a free worker the next call at once", "lets a free worker wait"),
        ("keeps call order", "gives values in the order in which they end"),
        ("gives plain values", "gives handles"),
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
        case Batches(inner):
            return _long(inner)
    return False


def reasons(stage: StageSpec, best: Offer, second: Offer | None, taste: Taste) -> tuple[str, str]:
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
    if taste.costs(other) < taste.costs(named):
        return f"would be chosen if none were named: {_difference(other, named, taste)[0]}"
    return _difference(named, other, taste)[1]


def _asked(stage: StageSpec) -> list[str]:
    """What the stage says itself, as `key: word`."""
    words = {"dispatch": stage.dispatch, "args": stage.style, "returns": stage.returns, "backend": stage.backend}
    return [f"{key}: {word}" for key, word in words.items() if word is not None]


def _difference(best: Offer, second: Offer, taste: Taste) -> tuple[str, str]:
    """The first cost in which two offers differ: what speaks for the better, what against the other."""
    costs = zip(taste.costs(best), taste.costs(second), strict=True)
    decisive = next((place for place, (cost, other) in enumerate(costs) if cost != other), None)
    if decisive is None:
        return "stands first in the table", "as good, but stands later in the table"
    return _words(best)[decisive][0], _words(second)[decisive][1]


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
    if endless(stage.over) and not offer.method.lazy:
        return '; reads all of the generator before it starts: if that has no end, bound it with "take"'
    return ""
