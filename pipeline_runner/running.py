"""A run that has begun, and the result of one that has ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType

from pipeline_runner.axes import Returns, Status
from pipeline_runner.engine.engine import Engine
from pipeline_runner.engine.inputs import StageUnfinished, whole_value
from pipeline_runner.errors import UsageError, did_you_mean
from pipeline_runner.events import CallFailed
from pipeline_runner.plan.plan import StagePlan
from pipeline_runner.reporters.values import unshown
from pipeline_runner.spec.pipeline import StageName, StageSpec
from pipeline_runner.state import RunState, failure_told
from pipeline_runner.syntax.expressions import Ends
from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.engine.live import LiveValues


class Result(Mapping[str, Any]):
    """What a run gave: `result["total"]` is that stage's value, or the list of its calls' values.

    Errors: StageUnfinished for a stage that did not end well.
    """

    def __init__(self, engine: Engine, state: RunState) -> None:
        self._engine = engine
        self.state = state

    @property
    def id(self) -> str:
        return self.state.run

    @property
    def status(self) -> Status:
        return self.state.status or Status.FAILED

    @property
    def failures(self) -> list[CallFailed]:
        """Every call that failed for good."""
        return list(self.state.failures)

    @property
    def exit_code(self) -> int:
        """0 all well · 1 a stage failed · 3 ended with skipped failures · 128 + signal, or 130, interrupted."""
        match self.status:
            case Status.DONE:
                return 0
            case Status.PARTIAL:
                return 3
            case Status.INTERRUPTED:
                return 128 + (self._engine.interrupted_by or 2)
            case _:
                return 1

    def __getitem__(self, stage: str) -> Any:
        composed = self._engine.plan.pipeline.composed.get(StageName(stage))
        return self._value(stage) if composed is None else self._of(composed.ends)

    def _of(self, ends: Ends) -> Any:
        """The value of a stage that is another file's pipeline: of its last stage, or of each of several."""
        return self[ends] if isinstance(ends, str) else {name: self._of(end) for name, end in ends.items()}

    def _value(self, stage: str) -> Any:
        spec, results = _find(self._engine, stage)
        if spec.returns is Returns.NONE:
            return None
        _must_be_kept(self._engine, spec.name)
        return whole_value(spec, results)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._engine.plan.stages if name not in self._engine.plan.hooks)

    def __len__(self) -> int:
        return len(self._engine.plan.stages) - len(self._engine.plan.hooks)

    def read(self, stage: str) -> bool:
        """Whether another stage reads this one. One that only `needs` it does not."""
        return self._engine.plan.read(StageName(stage))

    def to_json(self, show: Callable[[str], bool] | None = None) -> dict[str, Any]:
        """The one object of `prun --json`. `show` says which stages' values are in it; default: those that no
        other stage reads."""
        chosen = show or (lambda name: not self.read(name) and self._engine.kept(StageName(name)))
        methods = {str(name): plan.choice.method.name for name, plan in self._engine.plan.stages.items()}
        hide = self._engine.mask.whole
        value = lambda name: [hide(as_json(self[name]))] if chosen(name) else []  # noqa: E731
        return run_as_json(self.state, str(self.status), methods, value)

    def hidden(self, text: str) -> str:
        """A text for others to read: `***` stands for each secret."""
        return self._engine.mask.text(text)

    def __repr__(self) -> str:
        return f"<Result {self.id}: {self.status}, {len(self)} stages>"

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        import html

        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{stage.status}</td><td>{html.escape(stage.method)}</td>"
            f"<td>{stage.done}</td><td>{stage.failed}</td><td>{stage.seconds:.2f}</td></tr>"
            for name, stage in self.state.told()
        )
        head = "".join(f"<th>{title}</th>" for title in ("stage", "status", "method", "done", "failed", "seconds"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


class Run:
    """A run in the background. As a context manager it waits at the end.

    It is cancelled by an exception, and by a live iterator that was not read to its end: whoever
    breaks off has seen enough. `wait()` before leaving lets it run on.
    """

    def __init__(self, engine: Engine, *, passing: bool = False) -> None:
        """`passing`: nothing is kept, so whoever reads along must be there before the first value is."""
        self._engine = engine
        self._state: RunState | None = None
        self._error: BaseException | None = None
        self._live: dict[StageName, LiveValues] = {}
        for name, plan in engine.plan.stages.items() if passing else ():
            if plan.choice.returns.streams and plan.spec.over is not None and not engine.plan.readers(name):
                self._follow(name)
        self._thread = threading.Thread(target=self._work, name="prun-engine", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._state = self._engine.run()
        except BaseException as error:  # told to whoever asks for the result
            self._error = error

    @property
    def id(self) -> str:
        return self._engine.id

    @property
    def state(self) -> RunState:
        """What is true of the run now."""
        return self._engine.state

    def __getitem__(self, stage: str) -> Any:
        """What the stage's `returns` says: a live iterator, handles at once; a list or a value when it is done.

        Errors: KeyError for a stage that there is not; StageUnfinished for one that did not end well.
        """
        from pipeline_runner.engine.live import CallHandle, MapHandle  # who waits for `prun FILE` asks for nothing

        spec, results = _find(self._engine, stage)
        returns = self._engine.plan.stages[spec.name].choice.returns
        about = (stage, results, self._engine.lock, self._engine.state)
        if spec.name in self._live:
            return self._live[spec.name]
        if returns is Returns.NONE:
            self._let_go()
            MapHandle(*about).wait()
            return None
        _must_be_kept(self._engine, spec.name)
        if returns.streams and spec.over is not None:
            return self._follow(spec.name)
        if returns is Returns.APPLY_RESULT:
            return (
                CallHandle(0, *about)
                if spec.over is None
                else [CallHandle(i, *about) for i in range(self._calls(stage))]
            )
        if returns is Returns.MAP_RESULT:
            return MapHandle(*about)
        self._let_go()
        MapHandle(*about).wait()
        return whole_value(spec, results)

    def cancel(self) -> None:
        """End it soon. Its status will be `interrupted`."""
        self._engine.cancel()

    def wait(self, timeout: float | None = None) -> Result:
        """The result, when the run has ended. Errors: TimeoutError."""
        self._let_go()
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"run {self.id} has not ended after {timeout} s")
        if self._error is not None:
            raise self._error
        if self._state is None:
            raise AssertionError("a run ended without a state: this is our bug")
        return Result(self._engine, self._state)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        if kind is not None or any(live.broken_off for live in self._live.values()):
            self.cancel()
        self._let_go()
        self._thread.join()

    def _let_go(self) -> None:
        """Somebody waits for an end that live iterators, read no further, would hold back for ever."""
        for live in self._live.values():
            live.let_go()

    def _follow(self, name: StageName) -> LiveValues:
        from pipeline_runner.engine.live import LiveValues

        plan = self._engine.plan.stages[name]
        live = LiveValues(self._engine.lock, self._engine.moved, lambda: self._why(name))
        self._engine.results[name].read_along(live, ordered=plan.choice.returns is Returns.ITERATOR)
        self._live[name] = live
        return live

    def _why(self, name: StageName) -> BaseException | None:
        if self._engine.state.stages[name].status in (Status.DONE, Status.REUSED):
            return None
        return StageUnfinished(name, self._engine.state)

    def _calls(self, stage: str) -> int:
        """How many calls a stage has: known when it starts, or when its source has ended."""
        with self._engine.lock:
            while True:
                known = self._engine.state.stages.get(stage)
                if known is not None and known.calls is not None:
                    return known.calls
                total = self._engine.results[StageName(stage)].total
                if total is not None:
                    return total
                self._engine.lock.wait(0.5)


def run_as_json(
    state: RunState, status: str, methods: Mapping[str, str], value: Callable[[str], Sequence[Any]]
) -> dict[str, Any]:
    """The one object of `prun --json`. `value` gives a stage's value as the only one of a list; empty: not told."""
    stages: dict[str, Any] = {}
    for name, stage in state.stages.items():
        told: dict[str, Any] = {
            "status": str(stage.status or Status.CANCELLED),
            "method": stage.method or methods.get(name, ""),
            "calls": stage.calls if stage.calls is not None else stage.done + stage.failed,
            "failed": stage.failed,
            "retried": stage.retried,
            "seconds": round(stage.seconds, 6),
        }
        if stage.why:
            told["why"] = stage.why
        if stage.status in (Status.DONE, Status.REUSED):
            told |= dict(zip(("value",), map(as_json, value(name)), strict=False))
        stages[name] = told
    hooks = {name: stages.pop(name) for name in state.hooks}
    whole = {
        "run": state.run,
        "status": status,
        "seconds": round(state.seconds, 6),
        "stages": stages,
        "failures": [failure_told(failed) for failed in state.failures],
    }
    if hooks:
        whole["hooks"] = hooks
    return whole


def gives(stage: StagePlan) -> str:
    """What a stage's result is: `value`, `list` in call order, `unordered` as they came, or `none`."""
    returns = stage.choice.returns
    if returns is Returns.NONE:
        return "none"
    if stage.spec.over is None:
        return "value"
    return "unordered" if returns is Returns.UNORDERED else "list"


def as_json(value: Any) -> Any:
    """The value where JSON can say it, else its repr."""
    if value is None or type(value) in (bool, str):
        return value
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        try:
            return repr(value)
        except Exception as error:  # a user's __repr__ may raise anything
            return unshown(value, error)
    return value


def _must_be_kept(engine: Engine, stage: StageName) -> None:
    """Errors: UsageError. A reader that came late would otherwise get a part, and take it for all."""
    if not engine.kept(stage):
        raise UsageError(
            f'the values of stage "{stage}" are passed on and not kept; ask for them with keep=["{stage}"]'
        )


def _find(engine: Engine, stage: str) -> tuple[StageSpec, Any]:
    try:
        return engine.plan.stages[StageName(stage)].spec, engine.results[StageName(stage)]
    except KeyError:
        known = list(engine.plan.stages)
        raise KeyError(f'there is no stage "{stage}"{did_you_mean(stage, known)}') from None
