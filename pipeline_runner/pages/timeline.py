"""Draws when each stage was at work: a bar for each of those that took longest, and how many others were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import floor, log10

from pipeline_runner.pages.account import Account, Mark, StageTold
from pipeline_runner.reporters.plain import plain
from pipeline_runner.reporters.times import took

MOST = 50  # stages with a bar of their own
MARKED = 300  # failures, tries and deaths that are shown
WIDTH = 1000
LABELS = 210  # what the names take of it
ROW, BAR, TOP = 22, 14, 26
CROWD = 60  # height of the curve of all others
LETTERS = 28  # of a name
SHAPES = {"failed": "M-4,-4 L4,4 M-4,4 L4,-4", "retried": "M0,-4 L4,4 L-4,4 Z", "died": "M0,-5 L5,0 L0,5 L-5,0 Z"}


def timeline(account: Account) -> str:
    """An SVG that is coloured by the page's rules. Nothing where no stage has begun."""
    begun = [stage for stage in account.stages if stage.took_s is not None]
    if not begun:
        return ""
    rows = _of_most_interest(begun)
    names = {stage.name for stage in rows}
    others = [stage for stage in begun if stage.name not in names]
    scale = _Scale(max(account.span_s, 1e-3))
    bottom = TOP + ROW * len(rows) + (CROWD + ROW if others else 0)
    parts = [
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {bottom + 8}" role="img" aria-label="Timeline">',
        f"<desc>{len(rows)} of {len(begun)} stages as bars over {escape(took(scale.span_s))}</desc>",
        *_ticks(scale, bottom),
        *(_bar(stage, number, scale) for number, stage in enumerate(rows)),
        *_marks(account.marks, {stage.name: number for number, stage in enumerate(rows)}, scale),
        *([_crowd(others, TOP + ROW * len(rows) + 10, scale)] if others else []),
        "</svg>",
    ]
    return "\n".join(parts)


class _Scale:
    """Seconds as places from left to right."""

    def __init__(self, span_s: float) -> None:
        self.span_s = span_s

    def __call__(self, at_s: float) -> float:
        return LABELS + (WIDTH - LABELS - 10) * min(max(at_s / self.span_s, 0.0), 1.0)


def _of_most_interest(begun: Sequence[StageTold]) -> list[StageTold]:
    """What failed, then what took longest; in the order in which they began."""
    if len(begun) > MOST:
        begun = sorted(begun, key=lambda one: (one.status != "failed", -(one.took_s or 0.0)))[:MOST]
    return sorted(begun, key=lambda one: one.began_s or 0.0)


def _ticks(scale: _Scale, bottom: float) -> Iterator[str]:
    step = _step(scale.span_s)
    for number in range(int(scale.span_s / step) + 1):
        x = scale(number * step)
        yield f'<line class="tick" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom:.0f}"/>'
        anchor = "middle" if x < WIDTH - 40 else "end"
        yield f'<text class="small" x="{x:.1f}" y="{TOP - 11}" text-anchor="{anchor}">{_moment(number * step)}</text>'


def _step(span_s: float) -> float:
    """A round number of seconds, some six of which make the span."""
    for step in (60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400):
        if span_s > 240 and span_s / step <= 8:
            return float(step)
    if span_s > 240:
        return 86400.0 * max(1, round(span_s / 86400 / 6))
    power = 10.0 ** floor(log10(span_s / 6))
    return next(power * factor for factor in (1, 2, 5, 10) if span_s / (power * factor) <= 8)


def _moment(at_s: float) -> str:
    if at_s < 60 or at_s % 60:
        return f"{at_s:.4g} s"
    hours, minutes = divmod(round(at_s / 60), 60)
    return f"{hours}:{minutes:02} h" if hours else f"{minutes} min"


def _bar(stage: StageTold, number: int, scale: _Scale) -> str:
    y = TOP + ROW * number
    began_s, ended_s = stage.began_s or 0.0, stage.ended_s or 0.0
    x, wide = scale(began_s), max(2.0, scale(ended_s) - scale(began_s))
    name = escape(plain(stage.name))
    short = name if len(stage.name) <= LETTERS else escape(plain(stage.name[: LETTERS - 1])) + "…"
    about = f"{stage.name}: {stage.status}, {took(ended_s - began_s)}, from {took(began_s)} to {took(ended_s)}"
    tone = stage.status.replace(" ", "-")
    return (
        f'<g data-stage="{name}"><title>{escape(plain(about))}</title>'
        f'<text class="label" x="{LABELS - 8}" y="{y + 11}" text-anchor="end">{short}</text>'
        f'<rect class="bar {tone}" x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{BAR}" rx="3"/></g>'
    )


def _marks(marks: Sequence[Mark], row_of: dict[str, int], scale: _Scale) -> Iterator[str]:
    shown = [mark for mark in marks if mark.stage in row_of]
    for mark in shown[:MARKED]:
        x, y = scale(mark.at_s), TOP + ROW * row_of[mark.stage] + BAR / 2
        yield (
            f'<g transform="translate({x:.1f},{y:.1f})"><title>{escape(plain(mark.text))}</title>'
            f'<path class="mark {mark.kind}" d="{SHAPES[mark.kind]}"/></g>'
        )


def _crowd(others: Sequence[StageTold], y: float, scale: _Scale) -> str:
    """How many of the others were at work: the most in each of so many parts of the span."""
    parts = 240
    changes = [0] * (parts + 2)
    for stage in others:
        first = min(parts - 1, int(parts * (stage.began_s or 0.0) / scale.span_s))
        last = min(parts - 1, int(parts * (stage.ended_s or 0.0) / scale.span_s))
        changes[first] += 1
        changes[last + 1] -= 1
    heights: list[int] = []
    for change in changes[:parts]:
        heights.append(change + (heights[-1] if heights else 0))
    most = max(heights)
    path = f"M{scale(0):.1f},{y + CROWD:.1f}"
    for number, height in enumerate(heights):
        at = y + CROWD * (1 - height / most)
        path += f"L{scale(scale.span_s * number / parts):.1f},{at:.1f}"
        path += f"L{scale(scale.span_s * (number + 1) / parts):.1f},{at:.1f}"
    told = f"{len(others)} other stages, {most} at once at most"
    return (
        f"<g><title>{told}</title>"
        f'<text class="label" x="{LABELS - 8}" y="{y + CROWD / 2:.0f}" text-anchor="end">{len(others)} others</text>'
        f'<text class="small" x="{LABELS - 8}" y="{y + CROWD / 2 + 15:.0f}" text-anchor="end">{most} at once</text>'
        f'<path class="crowd" d="{path}L{scale(scale.span_s):.1f},{y + CROWD:.1f}Z"/></g>'
    )
