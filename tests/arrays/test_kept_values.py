"""Large values in the journal: kept whole, mapped when they are read again, and never believed when they were touched."""

from __future__ import annotations

from pathlib import Path

import array_deeds as deeds
import pytest

from pipeline_runner import Pipeline, Stage
from pipeline_runner.events import CallsDone, CallsReused

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("nothing_left")]

FOLDER = Path(__file__).parent


def pipeline(calls=6, **more):
    return Pipeline(
        "kept",
        [
            Stage("made", call="array_deeds:made", over=list(range(calls)), returns="iterator", chunk=2, **more),
            Stage("more", call="array_deeds:plus_one", over="${stages.made}", chunk=1, **more),
        ],
        folder=FOLDER,
    )


def run(state, calls=6, resume=False, force=False, **more):
    made, reused = [], []

    def hear(event):
        if isinstance(event, CallsDone):
            made.extend((event.stage, index) for index in event.indices)
        if isinstance(event, CallsReused):
            reused.extend((event.stage, index) for index in event.indices)

    result = pipeline(calls, **more).run(workers=2, state=state, resume=resume, force=force, on_event=hear)
    assert [deeds.first(array) for array in result["more"]] == [n + 1 for n in range(calls)]
    assert all((array == array[0]).all() for array in result["more"])
    return made, reused


def values(state):
    return [path for path in (state / "values").glob("??/*") if path.parent.name != "new"]


def test_what_is_resumed_gives_the_same_without_a_call(tmp_path):
    state = tmp_path / "state"
    made, _ = run(state)
    assert len(made) == 12
    again, reused = run(state, resume=True)
    assert again == []
    assert len(reused) == 12
    assert all(path.stat().st_size >= deeds.MIB for path in values(state))


def damages(path):
    whole = path.read_bytes()
    yield whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
    yield whole[:-1] + bytes([whole[-1] ^ 1])
    yield whole[: len(whole) // 2]
    yield b""


def test_a_value_that_was_touched_is_made_again(tmp_path):
    state = tmp_path / "state"
    run(state)
    for number in range(4):
        (path,) = [path for path in values(state) if path.stat().st_size < 2 * deeds.MIB][:1]
        path.write_bytes(list(damages(path))[number])
        made, _ = run(state, resume=True)
        assert made
        assert run(state, resume=True)[0] == []


def test_a_value_whose_file_is_another_ones_is_made_again(tmp_path):
    state = tmp_path / "state"
    run(state)
    one, other = [path for path in values(state) if path.stat().st_size < 2 * deeds.MIB][:2]
    one.write_bytes(other.read_bytes())
    assert run(state, resume=True)[0]


def test_another_run_takes_what_is_in_the_cache_and_writes_nothing_twice(tmp_path):
    state = tmp_path / "state"
    run(state, cache=True)
    files = {path: path.stat().st_mtime_ns for path in values(state)}
    made, reused = run(state, cache=True)
    assert made == []
    assert len(reused) == 12
    assert {path: path.stat().st_mtime_ns for path in values(state)} == files
    made, _ = run(state, resume=True, cache=True)
    assert made == []


def test_a_call_that_failed_is_replayed_with_the_array_that_it_had(tmp_path):
    state = tmp_path / "state"
    broken = Pipeline(
        "broken",
        [
            Stage("made", call="array_deeds:made", over=list(range(3)), returns="iterator", chunk=1),
            Stage("bad", call="array_deeds:failed", over="${stages.made}", chunk=3, on_error="skip"),
        ],
        folder=FOLDER,
    )
    result = broken.run(workers=2, state=state)
    assert [failed.index for failed in result.failures] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"it was 2\.0"):
        broken.replay(result.id, "bad", 2, state=state)
