"""Histories: any order of runs, kills, edits, damage and resumes, against what plain Python says the answer is."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from typing import Any

import storms
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

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

    def __init__(self) -> None:
        super().__init__()
        self.site = storms.Site()
        self.items = [1, 2, 3]
        self.factor, self.more, self.plus = 2, 1, 0
        self.begun = False
        self._write()

    def teardown(self) -> None:
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

    def _ends(self, resume: bool, on_event: Callable[[Any], None] = lambda event: None) -> bool:
        kind, value = self.site.forked(resume=resume, on_event=on_event)
        if kind == "error" and resume and value[0] == 2:
            self.begun = False  # the damage took all that was known of it
            kind, value = self.site.forked(on_event=on_event)
        if kind == "killed":
            self.begun = storms._has_run(self.site)
            return False
        assert (kind, value) == ("done", self.expected())
        self.begun = True
        return True

    @rule()
    def run(self) -> None:
        assert self._ends(False)

    @rule(resume=st.booleans(), after=st.integers(0, 40))
    def run_and_be_killed(self, resume: bool, after: int) -> None:
        heard = iter(range(after))

        def hear(event: Any) -> None:
            if next(heard, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        self._ends(resume and self.begun, hear)

    @precondition(lambda self: self.begun)
    @rule()
    def resume(self) -> None:
        assert self._ends(True)

    @rule(more=st.integers(0, 3))
    def edit_second(self, more: int) -> None:
        self.more = more
        self._write()

    @rule(factor=st.integers(1, 3))
    def edit_first(self, factor: int) -> None:
        self.factor = factor
        self._write()

    @rule(plus=st.integers(0, 2))
    def change_parameter(self, plus: int) -> None:
        self.plus = plus
        self._write()

    @rule(items=st.lists(st.integers(0, 5), max_size=7))
    def change_items(self, items: list[int]) -> None:
        self.items = items
        self._write()

    @precondition(lambda self: self.begun)
    @rule(dice=st.randoms(use_true_random=False), kind=st.sampled_from(["bytes", "log", "row"]))
    def damage(self, dice: Any, kind: str) -> None:
        if not (self.site.state / "journal.db").exists():
            return
        if kind == "row":
            with storms.contextlib.suppress(storms.sqlite3.Error, ValueError, TypeError):
                storms._row_damage(self.site, dice)
        else:
            storms._bytes("" if kind == "bytes" else "-wal")(self.site, dice)

    @rule()
    def clean(self) -> None:
        shutil.rmtree(self.site.state, ignore_errors=True)
        self.begun = False


def histories(size: int) -> dict[str, Any]:
    """P9: any history of runs, kills, edits, damage, cleaning and resumes gives what plain Python gives."""
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=size,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    return {"histories": size, "different results": 0}
