"""How a run ended, for people: a line a stage, failures grouped, and what to type next."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache

from pipeline_runner.axes import Status
from pipeline_runner.calls import Cause, Failure
from pipeline_runner.classes import dataclass
from pipeline_runner.events import CallFailed
from pipeline_runner.reporters.plain import line_of, plain
from pipeline_runner.reporters.screen import Screen
from pipeline_runner.state import RunState

MOST = 5  # failed calls of one kind that are named
TALLEST = 12  # lines of a message that are shown; the whole of it is in `--json`
WIDEST = 500  # characters of such a line, and of one that was captured
_STYLE = {Status.DONE: "green", Status.REUSED: "green", Status.FAILED: "red"}

_HEADER = "(?m)" + r"^(?:  \+ Exception Group )?Traceback \(most recent call last\):$"
_PLACE = "(?m)" + r'^(?:  \|)? +File "(.+?)", line (\d+)'
_OF_ONE_CALL = ("CommandFailed", "BadOutput", "CannotRun")

Line = tuple[str, str]  # text and style


@dataclass(frozen=True)
class Next:
    """What to type after a run that was kept."""

    run: str
    resume: str  # the whole command
    state: tuple[str, ...] = ()  # what other commands need to find the run from here
    python: bool = False  # made in Python: no command has its functions

    def replay(self, stage: str, item: int) -> str:
        if self.python:
            return f'pipeline.replay("{self.run}", "{stage}", {item}, state="{self.state[-1]}")'
        from shlex import join

        return join(["prun", "replay", self.run, f"{stage}[{item}]", *self.state])


def summary(state: RunState, screen: Screen, *, stages: bool, following: Next | None = None) -> None:
    """Say it on `screen`. `stages`: also a line a stage, where no bars have told it."""
    for text, style in lines(state, stages=stages, following=following):
        screen.say(text, style)


def lines(state: RunState, *, stages: bool, following: Next | None = None) -> Iterator[Line]:
    """What `summary` says."""
    if stages:
        yield from _stages(state)
    yield from failures(state.failures, following)
    status = state.status or Status.FAILED
    done = sum(stage.done for stage in state.stages.values())
    failed = f", {len(state.failures)} failed" if state.failures else ""
    retried = sum(stage.retried for stage in state.stages.values())
    again = f", {retried} tried again" if retried else ""
    line = f"{state.pipeline}: {status}, {done} calls{failed}{again}, {state.seconds:.2f} s"
    yield line, f"bold {_STYLE.get(status, 'yellow')}"
    if following is not None and status is not Status.DONE:
        yield f"go on with what it owes: {following.resume}", "bold"


def _stages(state: RunState) -> Iterator[Line]:
    width = max((len(name) for name, _ in state.told()), default=0)
    for name, stage in state.told():
        status = stage.status or Status.CANCELLED
        failed = f", {stage.failed} failed" if stage.failed else ""
        line = f"{name.ljust(width)}  {status:<9}  {stage.done} calls{failed}  {stage.seconds:.2f} s  {stage.method}"
        if stage.why:
            line = f"{name.ljust(width)}  {status:<9}  {stage.why}"
        yield line, _STYLE.get(status, "yellow")


@dataclass(frozen=True)
class Alike:
    """Failures of one stage, type and place: a thousand calls that fail alike are one thing to read."""

    stage: str
    type: str
    place: str  # "FILE:LINE" of the user's own code; empty where it is not known
    calls: Sequence[CallFailed]  # by their numbers

    @property
    def of_all(self) -> bool:
        """Whether one sentence says it of each of several calls."""
        first = self.calls[0].failure
        return len(self.calls) > 1 and all(about_all(one.failure) and one.failure == first for one in self.calls)

    @property
    def frames(self) -> str:
        """The way to the first of them, without its message."""
        return _frames(self.calls[0])


def alike(failed: Sequence[CallFailed]) -> list[Alike]:
    """Failures in groups, in the order in which the first of each came."""
    groups: dict[tuple[str, str, str], list[CallFailed]] = defaultdict(list)
    for one in failed:
        groups[one.stage, one.failure.type, _place(one)].append(one)
    return [Alike(*key, calls=sorted(found, key=lambda one: one.index)) for key, found in groups.items()]


def failures(failed: Sequence[CallFailed], following: Next | None = None) -> Iterator[Line]:
    """Failures, those that are alike together."""
    for group in alike(failed):
        many = f" ({len(group.calls)} calls)" if len(group.calls) > 1 else ""
        place = f" at {group.place}" if group.place else ""
        yield f'\nstage "{group.stage}": {group.type}{many}{place}', "bold red"
        if group.of_all:
            yield "  " + group.calls[0].failure.message.replace("\n", "\n  "), "red"
            continue
        for one in group.calls[:MOST]:
            yield "  " + plain(_call(one)).replace("\n", "\n    "), "red"
        if len(group.calls) > MOST:
            yield f"  and {len(group.calls) - MOST} more", "red"
        yield from _about(group.calls[0], following)


def about_all(failure: Failure) -> bool:
    """Whether it is a sentence of ours about the function itself: each of its calls fails with the same one."""
    return failure.cause is Cause.RAISED and not failure.traceback and failure.type not in _OF_ONE_CALL


def _call(failed: CallFailed) -> str:
    call = f"call {failed.index}" if failed.index >= 0 else "outside its calls"
    given = f" given {failed.argument}" if failed.argument else ""
    tries = f" after {failed.tries} tries" if failed.tries > 1 else ""
    return f"{call}{given}{tries}: {message_of(failed)}"


def message_of(failed: CallFailed) -> str:
    """What a call failed with, as much of it as is read."""
    return _shortened(failed.failure.message.rstrip()) or failed.failure.type


def last_lines(failed: CallFailed) -> list[str]:
    """What a failed call wrote last."""
    return [_cut(plain(line_of(line))) for line in failed.said]


def _shortened(message: str) -> str:
    """The beginning of a long message."""
    rows = message.split("\n")
    kept = [_cut(row) for row in rows[:TALLEST]]
    more = len(rows) - TALLEST
    return "\n".join([*kept, f"… ({more} more lines)"] if more > 0 else kept)


def _cut(line: str) -> str:
    return line if len(line) <= WIDEST else f"{line[:WIDEST]}… ({len(line)} characters)"


def _about(failed: CallFailed, following: Next | None) -> Iterator[Line]:
    """What helps to find the cause: where it went, what was said last, and how to see it happen again."""
    frames = _frames(failed)
    if frames:
        yield _indented(plain(frames), 2), "dim"
    if said := last_lines(failed):
        yield "  its last lines:", "dim"
        yield _indented("\n".join(said), 4), "dim"
    if following is not None and failed.index >= 0:
        yield f"  see it again: {following.replay(failed.stage, failed.index)}", ""


def _frames(failed: CallFailed) -> str:
    """The traceback without the message that ends it, which is told already."""
    text, failure = failed.failure.traceback.rstrip(), failed.failure
    message = failure.message.rstrip()
    told = f"{failure.type}: {message}" if message else failure.type
    at = text.rfind(told)
    if at < 0:
        return text
    start = text.rfind("\n", 0, at) + 1  # the type may be written with its module
    return (text[:start] + text[at + len(told) :].lstrip(":\n")).rstrip()


def _indented(text: str, by: int) -> str:
    """The text as it is, moved to the right."""
    return "\n".join(" " * by + line for line in text.split("\n"))


def _place(failed: CallFailed) -> str:
    """Where in the user's code it went wrong: the innermost frame that is not in a library, if there is one."""
    found = re.findall(_PLACE, _own(_frames(failed)))
    theirs = [place for place in found if not place[0].startswith(_libraries()) and "/site-packages/" not in place[0]]
    for file, line in reversed(theirs or found):
        return f"{plain(file)}:{line}"
    return ""


@cache
def _libraries() -> tuple[str, ...]:
    from sysconfig import get_path  # which reads how Python was built: only for failures

    return os.path.join(get_path("stdlib"), ""), "<"


def _own(traceback: str) -> str:
    """The part of a traceback that is the exception's own: without what it came from, and what it holds."""
    own, _, _ = re.split(_HEADER, traceback)[-1].partition("\n  +-+---")
    return own
