"""Tries every way in which a stage could run, round by round, and drops those that cannot win any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline_runner.plan.measured import Span
from pipeline_runner.plan.plan import Choice, Plan
from pipeline_runner.tuning.apart import Ended
from pipeline_runner.tuning.sample import Sample
from pipeline_runner.tuning.trial import Bare, Trial, try_method

SLOW_S = 20.0  # any trial may take so long,
SLOW = 10  # or so many times as long as the bare calls one after the other
HOPELESS = 1.5  # times the best of its kind: who is that slow in a round is not tried again,
CHEAP_S = 0.2  # unless it takes no time to speak of
CHUNKED_S = (0.0005, 0.1)  # calls that take so long may want another chunk than the engine's own


@dataclass
class Way:
    """One method, with the chunks that the stage has or others, and what came of each trial of it."""

    choice: Choice
    chunk: int | None  # None: auto
    calls: int  # that the whole stage has
    beside: int  # calls that run at a time
    trials: list[Trial] = field(default_factory=list)
    lapse: str = ""  # why it gave nothing

    @property
    def name(self) -> str:
        return self.choice.method.name

    # The least of all rounds: what disturbs a trial, on a machine that does other things too, only makes it longer.

    @property
    def told(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.trials)

    @property
    def wall_s(self) -> float:
        return min(trial.wall_s for trial in self.trials)

    @property
    def seconds(self) -> float:
        """How long all calls of the stage would take."""
        return min(trial.seconds(self.calls, self.beside) for trial in self.trials)

    @property
    def start_s(self) -> float:
        return min(trial.start_s(self.beside) for trial in self.trials)

    @property
    def span(self) -> Span:
        """Its start, and what each call takes."""
        return self.start_s, (self.seconds - self.start_s) / self.calls

    @property
    def cpu_s(self) -> float:
        return min(trial.cpu_s for trial in self.trials)

    @property
    def peak_bytes(self) -> int | None:
        return max((trial.peak_bytes for trial in self.trials if trial.peak_bytes is not None), default=None)

    def overhead_s(self, bare: Bare) -> float:
        """What a call costs its worker beside the call itself; nothing where that is lost in the noise."""
        at_a_time = min(self.beside, self.trials[0].calls)
        return max(0.0, min(trial.each_s(self.beside) for trial in self.trials) * at_a_time - bare.each_s)


Tell = Callable[[str], None]


@dataclass
class Rounds:
    """All ways of one stage."""

    plan: Plan  # of the whole pipeline
    sample: Sample
    bare: Bare
    calls: int  # of the whole stage
    tell: Tell
    attempt: Callable[[Plan, float], Trial] = try_method  # errors: Ended

    def ways(self, choices: Sequence[Choice], chunk: int | None) -> list[Way]:
        return [self._way(choice, chunk) for choice in choices]

    def _way(self, choice: Choice, chunk: int | None) -> Way:
        (stage,) = self.sample.plan(self.plan, choice, chunk).stages.values()
        return Way(choice, chunk, self.calls, stage.workers if choice.method.parallel else 1)

    def run(self, ways: Sequence[Way], rounds: int) -> None:
        """Each way once, then each of those that are left again: what disturbs one round disturbs it for all."""
        left = list(ways)
        for number in range(1, rounds + 1):
            for place, way in enumerate(left, 1):
                self.tell(f"round {number} of {rounds}, {place} of {len(left)}: {way.name}")
                self._try(way, left)
            left = self._hopeful(left)

    def _try(self, way: Way, others: Sequence[Way]) -> None:
        known = [other.wall_s for other in others if other.told]
        most_s = max(SLOW_S, SLOW * sum(self.bare.took_s), SLOW * min(known, default=0.0))
        try:
            trial = self.attempt(self.sample.plan(self.plan, way.choice, way.chunk), most_s)
        except Ended as ended:
            way.lapse, way.trials = str(ended), []
            return
        if trial.failed:
            way.lapse, way.trials = f"{trial.failed} of {self.sample.calls} calls failed: {trial.failure}", []
        else:
            way.trials.append(trial)

    @staticmethod
    def _hopeful(ways: Sequence[Way]) -> list[Way]:
        """Those that may yet win; and of workers and of this process the best, since they are told side by side."""
        told = [way for way in ways if way.told]
        best = {way.choice.backend.in_process: way.seconds for way in sorted(told, key=lambda way: -way.seconds)}
        return [
            way
            for way in told
            if way.seconds <= HOPELESS * best[way.choice.backend.in_process] or way.wall_s <= CHEAP_S
        ]

    def other_chunks(self, way: Way) -> list[Way]:
        """The same method with other chunks, where they may matter: `auto` finds its own, and cannot foresee."""
        low, high = CHUNKED_S
        spec = self.sample.spec
        if spec.timeout_s or spec.memory_bytes or spec.max_calls_per_worker:
            return []  # each call is a chunk: it is killed, or counted, by itself
        if way.chunk is not None:
            return [self._way(way.choice, None)]
        if way.choice.backend.in_process or self.sample.calls < 4 * way.beside or not low <= self.bare.each_s <= high:
            return []
        return [self._way(way.choice, 1)]
