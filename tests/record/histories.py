"""Histories: any order of runs, kills, edits, damage and resumes, against what plain Python says the answer is."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from storm_damage import file_of_database, row_damage
from storm_site import Site, has_run
from tally import Tally

WRONG, STOPPED = "different results", "runs that were stopped"

FUNCTIONS = """
def first(x, plus=0):
    return (x * {factor} + plus) % 1000

def second(x):
    return [x, x + {more}]

def together(x, y):
    return x[0] * y

def whole(values):
    return [len(values), sum(values)]
"""


class History(RuleBasedStateMachine):
    """One project: what it is now is the model; what its store has been through must not show."""

    tally: Tally  # of the part that this is of

    def __init__(self) -> None:
        super().__init__()
        self.site = Site()
        self.past: list[str] = []
        self.items = [1, 2, 3]
        self.factor, self.more, self.plus = 2, 1, 0
        self.begun = False
        self._write()

    def teardown(self) -> None:
        if self.past:
            self.tally.trials += 1
            self.tally.did["histories"] += 1
            self.tally.did["steps"] += len(self.past)
        shutil.rmtree(self.site.top, ignore_errors=True)

    def expected(self) -> dict[str, Any]:
        a = [(x * self.factor + self.plus) % 1000 for x in self.items]
        b = [[x, x + self.more] for x in a]
        c = [x[0] * y for x, y in zip(b, range(len(b)), strict=True)]
        return {"a": a, "b": b, "c": c, "t": [len(c), sum(c)]}

    def _write(self) -> None:
        self.site.functions(FUNCTIONS.format(factor=self.factor, more=self.more))
        self.site.stages(
            {
                "a": {
                    "call": "work:first", "over": self.items, "backend": "serial", "chunk": 2,
                    "with": {"plus": "${params.plus}"},
                },
                "b": {"call": "work:second", "over": "${stages.a}", "backend": "threads", "chunk": 2},
                "c": {
                    "call": "work:together", "over": ["${stages.b}", {"range": len(self.items)}], "args": "zip",
                    "backend": "serial",
                },
                "t": {"call": "work:whole", "with": {"values": "${stages.c}"}, "backend": "serial"},
            },
            params={"plus": self.plus},
        )  # fmt: skip

    def _ends(self, what: str, resume: bool, on_event: Callable[[Any], None] | None = None) -> None:
        """Run it, and look at what it gives; with `on_event`, it may be killed by that."""
        self.past.append(f"{what} (resume)" if resume else what)
        listener = on_event or (lambda event: None)
        kind, value = self.site.forked(resume=resume, on_event=listener)
        if kind == "error" and resume and value[0] == 2:
            kind, value = self.site.forked(on_event=listener)  # the damage took all that was known of it
        if kind == "killed" and value == -signal.SIGKILL and on_event:
            self.tally.did["kills"] += 1
            self.begun = has_run(self.site)
            return
        self.begun = True
        self.tally.did["results looked at"] += 1
        if self.tally.check(kind == "done", STOPPED, *self.past, kind, value):
            self.tally.check(value == self.expected(), WRONG, *self.past, value, "and not", self.expected())

    @rule()
    def run(self) -> None:
        self._ends("run", False)

    @rule(resume=st.booleans(), after=st.integers(0, 40))
    def run_and_be_killed(self, resume: bool, after: int) -> None:
        heard = iter(range(after))

        def hear(event: Any) -> None:
            if next(heard, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        self._ends(f"run, and be killed after {after} events", resume and self.begun, hear)

    @precondition(lambda self: self.begun)
    @rule()
    def resume(self) -> None:
        self._ends("run", True)

    @rule(more=st.integers(0, 3))
    def edit_second(self, more: int) -> None:
        self.past.append(f"more = {more}")
        self.more = more
        self._write()

    @rule(factor=st.integers(1, 3))
    def edit_first(self, factor: int) -> None:
        self.past.append(f"factor = {factor}")
        self.factor = factor
        self._write()

    @rule(plus=st.integers(0, 2))
    def change_parameter(self, plus: int) -> None:
        self.past.append(f"plus = {plus}")
        self.plus = plus
        self._write()

    @rule(items=st.lists(st.integers(0, 5), max_size=7))
    def change_items(self, items: list[int]) -> None:
        self.past.append(f"items = {items}")
        self.items = items
        self._write()

    @precondition(lambda self: self.begun)
    @rule(dice=st.randoms(use_true_random=False), kind=st.sampled_from(["bytes", "log", "row"]))
    def damage(self, dice: Any, kind: str) -> None:
        if not (self.site.state / "journal.db").exists():
            return
        what = "a row of a damaged database"
        if kind == "row":
            with contextlib.suppress(sqlite3.Error, ValueError, TypeError):  # there is no such row to damage
                what, _ = row_damage(self.site, dice)
        else:
            what, _ = file_of_database("" if kind == "bytes" else "-wal")(self.site, dice)
        self.tally.did["damages"] += 1
        self.past.append(what)

    @rule()
    def clean(self) -> None:
        self.past.append("clean")
        shutil.rmtree(self.site.state, ignore_errors=True)
        self.begun = False


def histories(trials: range, number: int) -> Tally:
    """P9: any history of runs, kills, edits, damage, cleaning and resumes gives what plain Python gives."""
    tally = Tally.of(WRONG, STOPPED)
    with tally.trial(trials):
        run_state_machine_as_test(
            seed(number)(type("Histories", (History,), {"tally": tally})),
            settings=settings(
                max_examples=len(trials),
                stateful_step_count=12,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    return tally
