"""What was measured of a stage's methods, and which of them the planner takes for that, if another than it would.

Only one that may stand in for its own choice: it hands the same on in the same way, takes calls as they come where
that one does, and no measurement moves calls into the runner itself, where a crash of one would end the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline_runner.classes import dataclass
from pipeline_runner.plan.taste import Offer

CLEARLY = 1.25  # times as fast: less may be noise, and nobody looks when a plan is made
MUCH = 2.0  # times as fast in this process: so much is told


Span = tuple[float, float]  # seconds to start, and for each call


@dataclass(frozen=True)
class Measured:
    """How long methods took for the calls of one stage."""

    took: Mapping[str, Span]  # of each method
    here: Mapping[str, Span]  # of the best of each backend of this very process
    calls: int  # of the stage then
    when: str  # 'prun tune, 2026-03-01'

    def seconds(self, method: str, calls: int | None) -> float | None:
        """How long a method takes for so many calls; None where it was not measured."""
        return self.spanned(self.took[method], calls) if method in self.took else None

    def spanned(self, span: Span, calls: int | None) -> float:
        start_s, each_s = span
        return start_s + each_s * (self.calls if calls is None else calls)


@dataclass(frozen=True)
class Insight:
    """What follows from a measurement."""

    offer: Offer
    why: str


def insight(own: Offer, offers: Iterable[Offer], measured: Measured, calls: int | None) -> Insight | None:
    """The method to take and why; None where nothing is known of the planner's own."""
    took = measured.seconds(own.method.name, calls)
    if took is None:
        return None
    known = {offer.method.name: offer for offer in offers if _stands_in(offer, own)}
    spans = {name: measured.seconds(name, calls) or 0.0 for name in known if name in measured.took}
    best = min(spans, key=lambda name: spans[name])
    number = "its call" if (calls or measured.calls) == 1 else f"{calls or measured.calls:,} calls"
    if CLEARLY * spans[best] < took:
        why = f"{short(spans[best])} for {number}, where {own.method.name} takes {short(took)}"
        return Insight(known[best], f"measured ({measured.when}): {why}{_aside(own, measured, calls, spans[best])}")
    why = f"nothing that may stand in for it is faster than its {short(took)} for {number}"
    return Insight(own, f"measured ({measured.when}): {why}{_aside(own, measured, calls, took)}")


def _stands_in(offer: Offer, own: Offer) -> bool:
    return (
        offer.backend.in_process == own.backend.in_process
        and offer.reading == own.reading
        and offer.method.returns is own.method.returns
        and offer.method.lazy >= own.method.lazy
    )


def _aside(own: Offer, measured: Measured, calls: int | None, took: float) -> str:
    """What this process would do with the calls, where that is much faster and nobody has asked for it."""
    if own.backend.in_process:
        return ""
    spans = {word: measured.spanned(span, calls) for word, span in measured.here.items()}
    best = min(spans, key=lambda word: spans[word], default=None)
    if best is None or MUCH * spans[best] > took:
        return ""
    return f"; `backend: {best}` takes {short(spans[best])}, if its calls need no process of their own"


def short(seconds: float) -> str:
    """A span in the unit in which people think of it, with two digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            amount = seconds / size
            return f"{amount:,.0f} {unit}" if amount >= 10 else f"{amount:.1f} {unit}"
    raise AssertionError("every span has a unit: this is our bug")
