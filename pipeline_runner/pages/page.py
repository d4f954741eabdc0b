"""Makes the pages: templates filled with values, every one of them escaped, and nothing that has to be fetched.

A page that `prun ui` serves is the same one, but for links to others and a script that asks for it again.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pkgutil import get_data
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from pipeline_runner.events import Printed
from pipeline_runner.pages.account import Account, StageTold
from pipeline_runner.pages.folding import MOST, folded
from pipeline_runner.pages.timeline import timeline
from pipeline_runner.plan.measured import short
from pipeline_runner.plan.plan import Edge, Plan
from pipeline_runner.plan.svg import Drawing, Shown, picture
from pipeline_runner.record.history import Told
from pipeline_runner.reporters.plain import line_of, plain
from pipeline_runner.reporters.summary import Next, last_lines, message_of
from pipeline_runner.reporters.times import took, when
from pipeline_runner.spec.pipeline import StageName

ROWS = 400  # stages in a table; what the others have is summed up
GROUPS = 60  # kinds of failures
CALLS = 12  # of a kind, that are named
WIDEST = 4000  # characters of a captured line
LIVELY_MS = 1000  # after which a page that changes is asked for again
QUIET_MS = 5000  # and one of a run that has ended: it may be resumed
SIGNS = {
    "done": "✓",
    "partial": "✓",
    "reused": "↺",
    "failed": "✕",
    "skipped": "–",
    "cancelled": "■",
    "interrupted": "■",
    "running": "▶",
    "unfinished": "◌",
    "not begun": "·",
}
_BAD = ("failed", "cancelled", "unfinished", "running")  # what is looked for first


def report(account: Account, *, live: bool = False) -> str:
    """All of a run. `live`: as `prun ui` serves it."""
    stages = sorted(account.stages, key=lambda one: (-(one.work_s or 0.0), -(one.took_s or 0.0)))
    shown = sorted(stages, key=lambda one: one.status not in _BAD)[:ROWS] if len(stages) > ROWS else stages
    names = {stage.name for stage in shown}
    return _page(
        "report.html",
        every_ms=0 if not live else LIVELY_MS if account.told.status is None else QUIET_MS,
        account=account,
        now=_now(account),
        facts=list(_facts(account)),
        graph=_graph_of(account),
        folds=len(account.stages) > MOST,
        timeline=Markup(timeline(account)),
        stages=[stage for stage in stages if stage.name in names],
        others=_summed([stage for stage in stages if stage.name not in names]),
        groups=account.failures[:GROUPS],
        more_groups=len(account.failures) - GROUPS,
    )


def graph(plan: Plan) -> str:
    """All of a plan."""
    drawn = Markup(picture(folded(_plainly(Drawing.of(plan))), style=False))
    return _page("graph.html", plan=plan, graph=drawn, folds=len(plan.stages) > MOST)


def runs(found: Sequence[tuple[Told, Next]], folder: str, more: int) -> str:
    """Those of a state folder, each with what to type next; `more`: so many there are when the user asks for more."""
    return _page("runs.html", every_ms=LIVELY_MS, runs=found, folder=folder, more=more)


def output(
    told: Told,
    stages: Iterable[str],
    stage: str | None,
    item: int | None,
    lines: Sequence[tuple[int, Printed]],
    *,
    more: bool,
) -> str:
    """What calls of a run printed last: of all its stages, of one, or of one item."""
    every_ms = LIVELY_MS if told.status is None else QUIET_MS
    values = {"told": told, "stages": list(stages)[:ROWS], "stage": stage, "item": item, "lines": lines, "more": more}
    return _page("output.html", every_ms=every_ms, **values)


def trouble(text: str) -> str:
    """Why a page is not there."""
    return _page("trouble.html", every_ms=QUIET_MS, lines=text.splitlines() or [""])


def live_rules() -> str:
    """What the browser lets a served page do; whoever serves it says it too, since a page cannot say all of it."""
    return f"{_allowed(_text('page.css'), _script(live=True), live=True)}; frame-ancestors 'none'"


def _page(template: str, *, every_ms: int = 0, **values: Any) -> str:
    environment = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_readable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"took": took, "when": when, "short": short, "sign": _sign, "tone": _tone}
    environment.filters |= {"message": message_of, "last_lines": last_lines, "line": _line, "query": _query}
    style, script = _text("page.css"), _script(live=every_ms > 0)
    return environment.get_template(template).render(
        style=Markup(style),
        script=Markup(script),
        allowed=_allowed(style, script, live=every_ms > 0),
        calls_named=CALLS,
        every_ms=every_ms,
        **values,
    )


def _script(*, live: bool) -> str:
    return _text("page.js") + (_text("live.js") if live else "")


def _readable(value: object) -> object:
    """What users' code and data say, without what would move a cursor or turn the text around."""
    return plain(value) if type(value) is str else value


def _allowed(style: str, script: str, *, live: bool) -> str:
    """The page's own rules for the browser: nothing is fetched but, where it is served, itself; and no script or style
    runs but these two."""
    digests = {"style": style, "script": script}
    told = {name: b64encode(sha256(text.encode()).digest()).decode() for name, text in digests.items()}
    itself = "connect-src 'self'; " if live else ""
    return (
        f"default-src 'none'; style-src 'sha256-{told['style']}'; script-src 'sha256-{told['script']}'; "
        f"{itself}base-uri 'none'; form-action 'none'"
    )


def _text(name: str) -> str:
    return (get_data("pipeline_runner.pages", name) or b"").decode()


def _sign(status: str) -> str:
    return SIGNS.get(status, "")


def _line(printed: Printed) -> str:
    """A captured line, as a terminal without colours would leave it."""
    line = plain(line_of(printed.line))
    return line if len(line) <= WIDEST else f"{line[:WIDEST]}… ({len(line)} characters)"


def _query(text: str) -> str:
    """As part of an address."""
    return quote(text, safe="", errors="replace")


def _now(account: Account) -> Mapping[str, Any] | None:
    """What is going on, of a run that is at work."""
    if account.told.status is not None:
        return None
    running = [stage for stage in account.stages if stage.status == "running"]
    return {"running": running, "ended": sum(stage.state.status is not None for stage in account.stages)}


def _tone(status: str) -> str:
    return status.replace(" ", "-")


def _facts(account: Account) -> Iterable[tuple[str, str]]:
    told = account.told
    yield "run", told.run
    yield "began", when(account.began)
    if told.tries > 1:
        yield "tries", f"{told.tries}, the first of them {when(told.began)}; what follows is of the last one"
    yield ("took" if told.status else "so far"), took(account.span_s)
    workers = str(account.state.workers)
    yield "workers", workers if account.busy is None else f"{workers}, busy for {account.busy:.0%} of the time"
    if told.about.get("file"):
        yield "file", f"{told.about.get('folder', '')}/{str(told.about['file']).rpartition('/')[2]}"
    else:
        yield "made in Python, in", str(told.about.get("folder", "?"))
    if told.about.get("profile"):
        yield "profile", str(told.about["profile"])
    for name, value in told.about.get("given", {}).items():
        yield f"-p {name}", json.dumps(value, ensure_ascii=False)


def _graph_of(account: Account) -> Markup | None:
    """The stages, coloured by how they ended; None where nobody knows any more what joined them."""
    if account.edges is None:
        return None
    stages = {StageName(stage.name): _box(stage) for stage in account.stages}
    edges = tuple(edge for edge in account.edges if edge.source in stages and edge.target in stages)
    drawing = Drawing(account.told.pipeline, stages, edges, account.frames)
    return Markup(picture(folded(_plainly(drawing)), style=False))


def _box(stage: StageTold) -> Shown:
    span = f", {took(stage.took_s)}" if stage.took_s is not None else ""
    span += f", {stage.state.failed} failed" if stage.state.failed and stage.status != "failed" else ""
    about = f"{stage.name}: {stage.status}{span}" + (f"; {stage.state.why}" if stage.state.why else "")
    return Shown(f"{_sign(stage.status)} {stage.status}{span}", f"{about}; {stage.method}", _tone(stage.status))


def _plainly(drawing: Drawing) -> Drawing:
    """Names of stages are what people write, in Python whatever they like."""
    name = {stage: StageName(plain(stage)) for stage in drawing.stages}
    stages = {name[stage]: Shown(*map(plain, vars(shown).values())) for stage, shown in drawing.stages.items()}
    edges = tuple(Edge(name[one.source], name[one.target], one.kind, plain(one.why)) for one in drawing.edges)
    return Drawing(plain(drawing.name), stages, edges, tuple(map(plain, drawing.frames)))


def _summed(stages: list[StageTold]) -> Mapping[str, Any]:
    """What stages that have no row of their own have together."""
    return {
        "stages": len(stages),
        "work_s": sum(stage.work_s or 0.0 for stage in stages),
        **{of: sum(getattr(stage.state, of) for stage in stages) for of in ("done", "reused", "retried", "failed")},
    }
