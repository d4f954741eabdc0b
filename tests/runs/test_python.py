"""Pipelines made in Python: functions as they are, scripts without a guard, runs awaited, left and cancelled."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest

from pipeline_runner import Pipeline, Problems, Stage, check
from pipeline_runner.events import ChunkStarted, RunEnded, StageStarted

pytestmark = pytest.mark.timeout(60)

ROOT = str(Path(__file__).parents[2])

METHODS = [
    "multiprocessing.Pool.imap",
    "multiprocessing.Pool.map",
    "concurrent.futures.ProcessPoolExecutor.map",
    "multiprocess.Pool.imap",
    "pathos.ProcessPool.uimap",
    "pathos.ParallelPool.map",
    "ppft.Server.submit",
    "multiprocessing.Process",
    "pathos.SerialPool.map",
]


def value(call, method=None, over=(1, 2, 3)):
    stage = Stage(
        "s",
        call=call,
        over=list(over),
        args="single" if method in ("ppft.Server.submit", "multiprocessing.Process") else "map",
        method=method,
    )
    result = Pipeline("p", [stage]).run(workers=2)
    return sorted(result["s"])


@pytest.mark.parametrize("method", METHODS)
def test_a_closure_goes_through_every_library(method):
    by = 10
    assert value(lambda x: x * by, method) == [10, 20, 30]


def test_the_number_of_a_call_tells_which_item_of_a_range_it_has(tmp_path):
    pipeline = Pipeline("p", [Stage("s", call=int, over=range(3, 9, 2))])
    assert pipeline.run(workers=2, state=tmp_path)["s"] == [3, 5, 7]
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
        assert set(journal.execute("SELECT digests FROM done")) == {(None,)}
    assert pipeline.run(workers=2, state=tmp_path, resume=True).state.stages["s"].reused == 3


def test_batches_of_a_range_of_python(tmp_path):
    stage = Stage("s", call=list, over={"batches": range(3, 9, 2), "size": 2})
    assert Pipeline("p", [stage]).run(workers=2)["s"] == [[3, 5], [7]]


class Scale:
    def __init__(self, by):
        self.by = by

    def times(self, x):
        return x * self.by

    def __call__(self, x):
        return x + self.by

    @staticmethod
    def negative(x):
        return -x


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (functools.partial(pow, 2), [2, 4, 8]),
        (Scale(3).times, [3, 6, 9]),
        (Scale(3), [4, 5, 6]),
        (Scale.negative, [-3, -2, -1]),
        (str, ["1", "2", "3"]),
        (abs, [1, 2, 3]),
        (functools.lru_cache(lambda x: x), [1, 2, 3]),
    ],
    ids=["partial", "bound method", "callable object", "static method", "class", "builtin", "wrapped lambda"],
)
def test_anything_that_can_be_called(call, wanted):
    assert value(call) == wanted


SCRIPT = """
    import functools
    from pipeline_runner import Pipeline, Stage

    FACTOR = 10

    class Box:
        def __init__(self, x): self.x = x
        def __eq__(self, other): return type(self) is type(other) and self.x == other.x
        def grown(self, by): return Box(self.x + by)

    def helper(x): return x * FACTOR
    def boxed(x): return Box(helper(x))
    def opened(box): return box.x if isinstance(box, Box) else None

    closure = (lambda by: lambda x: x + by)(5)
    pipeline = Pipeline("script", [
        Stage("boxes", call=boxed, over=[1, 2, 3]),
        Stage("opened", call=opened, over="${stages.boxes}"),
        Stage("plus", call=closure, over=iter([1, 2, 3])),
        Stage("power", call=functools.partial(pow, 2), over=(1, 2)),
        Stage("method", call=Box(1).grown, over=[1]),
    ], defaults={"backend": "BACKEND"})
    result = pipeline.run(workers=2)
    assert result["boxes"] == [Box(10), Box(20), Box(30)], result["boxes"]
    assert result["method"] == [Box(2)]
    print(result["opened"], result["plus"], result["power"])
"""


@pytest.mark.parametrize("backend", ["multiprocessing", "futures", "pathos", "parallel", "process"])
def test_a_script_without_a_guard_runs_once_and_ships_what_is_its_own(tmp_path, backend):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT).replace("BACKEND", backend))
    done = _script(script)
    assert (done.stdout, done.returncode) == ("[10, 20, 30] [6, 7, 8] [2, 4]\n", 0), done.stderr


def _script(*arguments, **options):
    env = {**os.environ, "PYTHONPATH": ROOT}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=50, env=env, **options)


def test_code_from_stdin_works_too():
    code = """
from pipeline_runner import Pipeline, Stage
def f(x): return x + 1
print(Pipeline("p", [Stage("s", call=f, over=[1])]).run()["s"])
"""
    done = _script("-", input=code)
    assert done.stdout == "[2]\n", done.stderr


def test_an_argument_that_cannot_be_sent_costs_only_its_call():
    for chunk in (1, 3):
        result = Pipeline("p", [Stage("s", call=type, over=[1, sys._getframe(), 3], on_error="skip", chunk=chunk)]).run(
            workers=2
        )
        assert result["s"] == [int, int]
        assert [f.index for f in result.failures] == [1]
        assert result.exit_code == 3


@pytest.mark.parametrize("method", ["multiprocessing.Pool.map", "pathos.ParallelPool.map"])
def test_an_argument_that_cannot_be_sent_on_a_method_that_takes_all_first(method):
    result = Pipeline(
        "p", [Stage("s", call=type, over=[1, sys._getframe(), 3], on_error="skip", method=method, args="map")]
    ).run(workers=2)
    assert result["s"] == [int, int]


def test_a_function_that_cannot_be_sent_is_refused_before_anything_runs():
    frame = sys._getframe()
    with pytest.raises(Problems, match="cannot be sent to a worker"):
        Pipeline("p", [Stage("s", call=lambda x: frame, over=[1])]).run()


def test_a_one_shot_iterator_is_drawn_once():
    result = Pipeline("p", [Stage("s", call=abs, over=(n for n in range(100)))]).run(workers=2)
    assert result["s"] == list(range(100))


def test_columns_of_any_iterables():
    result = Pipeline("p", [Stage("s", call=pow, over=[(1, 2, 3), iter([2, 2, 2])], args="zip")]).run()
    assert result["s"] == [1, 4, 9]
    result = Pipeline("p", [Stage("s", call=dict, over={"a": range(2), "b": {"range": 2}})]).run()
    assert result["s"] == [{"a": 0, "b": 0}, {"a": 1, "b": 1}]


def test_values_that_yaml_cannot_hold_go_along_in_with():
    constant = {1, 2}
    result = Pipeline("p", [Stage("s", call=lambda x, of: x in of, over=[1, 5], with_={"of": constant})]).run()
    assert result["s"] == [True, False]


def test_a_mapping_of_sources_with_a_misspelled_key_is_a_problem():
    with pytest.raises(Problems):
        Pipeline("p", [Stage("s", call=abs, over=[1], methode="x")])


def test_what_is_not_iterable_is_told_as_a_problem_at_the_stage():
    with pytest.raises(Problems, match='stage "s"'):
        Pipeline("p", [Stage("s", call=abs, over=5)])


def test_a_run_can_be_awaited():
    async def main():
        result = await Pipeline("p", [Stage("s", call=abs, over=[-1])]).arun(workers=1)
        return result["s"]

    assert asyncio.run(main()) == [1]


def test_cancelling_the_task_cancels_the_run(tmp_path, alive):
    note = tmp_path / "pid"
    os.mkfifo(note)

    def wait(_):
        with open(note, "w") as file:
            file.write(str(os.getpid()))
        signal.pause()

    async def main():
        task = asyncio.create_task(Pipeline("p", [Stage("s", call=wait, over=[1])]).arun())
        pid = int(await asyncio.to_thread(note.read_text))
        assert alive(pid)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pid

    assert not alive(asyncio.run(main()))


def test_leaving_a_run_by_an_exception_ends_its_processes(made, alive):
    begun = SimpleQueue()
    hanging = made({"s": {"call": "deeds.py:hang", "over": [0, 1], "with": {"at": 0}}})
    run = hanging.start(workers=2, on_event=lambda e: begun.put(e.pid) if isinstance(e, ChunkStarted) else None)
    pid = begun.get()
    with pytest.raises(LookupError), run:
        raise LookupError
    assert str(run.wait().status) == "interrupted"
    assert not alive(pid)


def test_a_cancelled_run_is_interrupted_and_ends_soon(start):
    run = start(
        {
            "s": {"call": "deeds.py:hang", "over": [0], "with": {"at": 0}},
            "after": {"call": "deeds.py:nothing", "needs": ["s"]},
        }
    )
    with pytest.raises(TimeoutError):
        run.wait(0.01)
    run.cancel()
    result = run.wait(10)
    assert (str(result.status), result.exit_code) == ("interrupted", 130)
    assert {name: str(stage.status) for name, stage in result.state.stages.items()} == {
        "s": "cancelled",
        "after": "cancelled",
    }


def test_a_listener_that_raises_ends_the_run_and_is_told(made, alive):
    pids = []

    def listen(event):
        if isinstance(event, ChunkStarted):
            pids.append(event.pid)
            raise LookupError("the listener broke")

    with pytest.raises(LookupError, match="the listener broke"):
        made({"s": {"call": "deeds.py:hang", "over": [0], "with": {"at": 0}}}).run(workers=2, on_event=listen)
    assert pids
    assert not alive(pids[0])


def test_a_listener_that_raises_always_is_told_once_and_wakes_whoever_waits(start):
    def listen(event):
        raise LookupError("the listener broke")

    run = start({"s": {"call": "deeds.py:same", "over": [0], "returns": "map_result"}}, on_event=listen)
    with pytest.raises(LookupError):
        run.wait(20)
    assert run["s"].ready()


def test_every_listener_hears_every_event_in_the_same_order(made):
    first, second = [], []
    made({"s": {"call": "deeds.py:same", "over": [0, 1]}}).run(on_event=[first.append, second.append])
    assert first == second
    assert isinstance(first[-1], RunEnded)
    assert any(isinstance(event, StageStarted) for event in first)


def test_a_pipeline_can_run_again_and_two_at_a_time(made):
    pipeline = made(
        {
            "s": {"call": "deeds.py:double", "over": {"range": 20}},
            "t": {"call": "deeds.py:total", "with": {"values": "${stages.s}"}},
        }
    )
    # Two runs that keep a journal would be two runners of one pipeline, and the second would be refused.
    with pipeline.start(workers=2, state=False) as one, pipeline.start(workers=2, state=False) as two:
        assert one.wait()["t"] == two.wait()["t"] == 380
    assert pipeline.run()["t"] == 380
    assert one.id != two.id


def test_showing_a_pipeline_a_run_and_a_result(made):
    pipeline = made({"s": {"call": "deeds.py:double", "over": [1]}})
    result = pipeline.run()
    assert "s" in repr(pipeline)
    assert pipeline._repr_html_().lstrip().startswith(("<svg", "<?xml", "<!"))
    assert "<td>s</td>" in result._repr_html_()
    assert list(result) == ["s"]
    assert dict(result) == {"s": [2]}


def test_a_process_forked_from_one_that_has_run_pipelines_runs_its_own(made):
    pipeline = made({"s": {"call": "deeds.py:double", "over": {"range": 4}}})
    assert pipeline.run(state=False)["s"] == [0, 2, 4, 6]
    child = os.fork()
    if not child:
        try:
            os._exit(0 if pipeline.run(state=False)["s"] == [0, 2, 4, 6] else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pipeline.run(state=False)["s"] == [0, 2, 4, 6]


def test_a_source_may_wait_for_the_result_of_its_last_item():
    """As whoever feeds calls by hand does: `submit`, look, `submit`."""
    given = SimpleQueue()
    given.put(1)
    made = Pipeline("by hand", [Stage("s", call=lambda x: x + 1, over=iter(given.get, None), returns="iterator")])
    with made.start(workers=2) as run:
        for value in run["s"]:
            given.put(value if value < 20 else None)
    assert list(run.wait()["s"]) == list(range(2, 21))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (0, "at least 1, not 0"),
        (-3, "at least 1, not -3"),
        ("x", "a whole number"),
        (2.0, "a whole number"),
        (True, "true"),
    ],
)
@pytest.mark.parametrize(
    "deed",
    [Pipeline.run, Pipeline.start, Pipeline.plan, Pipeline.forecast, lambda p, **given: asyncio.run(p.arun(**given))],
)
def test_workers_that_are_no_number_of_workers_are_refused_as_in_yaml(deed, given, told):
    pipeline = Pipeline("p", [Stage("s", call=int, over=[1])])
    with pytest.raises(Problems, match=told):
        deed(pipeline, workers=given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"a": {"call": "m:f"}}, "takes a list of Stage.*not a dict; YAML is read by Pipeline.from_text"),
        ("stages: {}", "not a str"),
        (None, "not a NoneType"),
        ([{"call": "m:f"}], "a dict is among them"),
    ],
)
def test_what_is_no_stage_is_refused_with_what_is_meant(given, told):
    with pytest.raises(TypeError, match=told):
        Pipeline("p", given)
    if given is not None:
        with pytest.raises(TypeError, match=f"on_success= {told}" if "list" in told else told):
            Pipeline("p", [Stage("s", call=int, over=[1])], on_success=given)


def test_stages_may_come_one_by_one():
    assert list(Pipeline("p", (Stage(name, call=int, over=[1]) for name in "ab")).spec.stages) == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "told"), [(None, "nothing"), (5, "the number 5"), (b"stages: {}", "a bytes"), ([], "a list")]
)
def test_what_is_no_text_is_a_problem_and_no_exception(given, told):
    (problem,) = check(given)
    assert problem.sentence() == f"a pipeline is read from text; this is {told}"
    with pytest.raises(Problems, match="read from text"):
        Pipeline.from_text(given)
