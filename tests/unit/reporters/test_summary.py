"""What is said at the end of a run."""

from __future__ import annotations

import json

import pytest

from pipeline_runner import events
from pipeline_runner.axes import Status
from pipeline_runner.calls import Cause, Failure
from pipeline_runner.events import CallFailed
from pipeline_runner.reporters.summary import Next, lines
from pipeline_runner.state import RunState

HERE = Next("r1", "prun --resume r1")


def frames(line, message, kind="ValueError"):
    return f'Traceback (most recent call last):\n  File "/w/deeds.py", line {line}, in f\n    raise it\n{kind}: {message}\n'


def failed(index, message="no", *, line=3, kind="ValueError", traceback=None, **more):
    text = frames(line, message, kind) if traceback is None else traceback
    failure = Failure(Cause.RAISED, kind, message, text)
    return CallFailed(stage="a", index=index, **{"tries": 1, "argument": str(index), **more}, failure=failure)


def said(*failures, status=Status.FAILED, following=HERE):
    state = RunState()
    state.take(events.RunStarted(run="r1", pipeline="p", workers=2, stages=("a",)))
    for failure in failures:
        state.take(failure)
    state.take(events.RunEnded(status=status, took_s=1.0))
    return "\n".join(text for text, _ in lines(state, stages=False, following=following))


def test_failures_of_one_kind_and_place_are_one_group_named_by_their_first():
    text = said(failed(9), failed(2), failed(5, line=7), failed(3, kind="KeyError"))
    assert text.count('stage "a": ') == 3
    assert 'stage "a": ValueError (2 calls) at /w/deeds.py:3\n  call 2 given 2: no\n  call 9 given 9: no\n' in text
    assert [line for line in text.splitlines() if "see it again" in line] == [
        f"  see it again: prun replay r1 'a[{index}]'" for index in (2, 5, 3)
    ]


def test_of_many_that_fail_alike_a_few_are_named():
    text = said(*(failed(index) for index in range(1000)))
    assert "ValueError (1000 calls)" in text
    assert "and 995 more" in text
    assert len(text.splitlines()) < 20


def test_what_is_wrong_with_the_function_itself_is_told_once_and_not_for_each_of_its_calls():
    text = said(*(failed(n, "no module\n  install it", kind="PackageMissing", traceback="") for n in range(3)))
    assert 'stage "a": PackageMissing (3 calls)\n  no module\n    install it\n' in text
    assert "given" not in text


def test_the_message_is_not_told_a_second_time_by_its_traceback():
    text = said(failed(1, "checks failed\n  one\n  two"))
    assert text.count("checks failed") == 1
    assert "call 1 given 1: checks failed\n      one\n      two\n  Traceback" in text
    assert text.count("raise it") == 1


def test_a_note_that_was_added_to_an_exception_stays():
    assert "    raise it\n  look in a.txt\n" in said(failed(1, traceback=frames(3, "no") + "look in a.txt\n"))


def test_a_type_with_its_module_before_it_is_cut_too():
    traceback = frames(3, "no").replace("ValueError", "json.decoder.BadText")
    assert "json.decoder" not in said(failed(1, kind="BadText", traceback=traceback))


@pytest.mark.parametrize("message", ["", "no"])
def test_a_traceback_that_ends_otherwise_is_told_whole(message):
    assert "  something else\n" in said(failed(1, message, traceback="something else\n"))


def test_the_last_lines_that_the_call_wrote_are_told():
    plain = failed(1)
    call = CallFailed(stage="a", index=1, tries=1, failure=plain.failure, said=("reading", "bad line"))
    assert "  its last lines:\n    reading\n    bad line\n  see it again" in said(call)


def test_a_stage_that_failed_before_its_first_call_has_none_to_see_again():
    text = said(failed(-1, argument=""))
    assert "  outside its calls: no" in text
    assert "see it again" not in text


@pytest.mark.parametrize("status", [Status.FAILED, Status.INTERRUPTED, Status.PARTIAL])
def test_the_last_line_says_how_to_go_on(status):
    assert said(status=status).splitlines()[-1] == "go on with what it owes: prun --resume r1"


def test_a_run_that_is_done_or_was_not_kept_has_nothing_to_go_on_with():
    assert "go on" not in said(status=Status.DONE)
    text = said(failed(1), following=None)
    assert "go on" not in text
    assert "see it again" not in text


def test_commands_are_quoted_and_name_the_state_folder_where_they_need_it():
    text = said(failed(1), following=Next("r1", "prun 'my p.yaml' --resume r1", state=("--state", "my state")))
    assert "see it again: prun replay r1 'a[1]' --state 'my state'\n" in text


def test_a_pipeline_made_in_python_is_replayed_there():
    text = said(failed(1), following=Next("r1", 'pipeline.run(resume="r1", state="s")', ("--state", "s"), python=True))
    assert 'see it again: pipeline.replay("r1", "a", 1, state="s")' in text


GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "/w/deeds.py", line {line}, in f
  |     raise it
  | ExceptionGroup: no
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/w/deeds.py", line 99, in g
    |     raise inner
    | ValueError: below
    +------------------------------------
"""


def test_an_exception_group_has_the_place_where_it_was_raised_itself():
    text = said(*(failed(line, kind="ExceptionGroup", traceback=GROUP.format(line=line)) for line in (3, 7)))
    assert 'stage "a": ExceptionGroup at /w/deeds.py:3\n' in text
    assert 'stage "a": ExceptionGroup at /w/deeds.py:7\n' in text


def test_what_an_exception_came_from_is_not_its_place():
    cause = GROUP.format(line=3) + "\nThe above exception was the direct cause of the following exception:\n\n"
    assert "KeyError at /w/deeds.py:7\n" in said(
        failed(1, kind="KeyError", traceback=cause + frames(7, "no", "KeyError"))
    )


def test_the_place_is_in_the_users_code_where_a_library_raised():
    library = f'  File "{json.__file__}", line 5, in loads\n  File "/v/site-packages/lib.py", line 6, in g\n'
    text = said(failed(1, traceback=frames(3, "no").replace("ValueError: no", library + "ValueError: no")))
    assert "ValueError at /w/deeds.py:3\n" in text


def test_a_traceback_inside_a_message_is_not_its_place():
    assert "ValueError at /w/deeds.py:3\n" in said(failed(1, 'child:\n  File "/w/other.py", line 9, in child'))


def test_a_long_message_is_cut_in_its_lines_and_in_each():
    text = said(failed(1, "\n".join(["x" * 5000] * 2000)))
    assert "… (5000 characters)\n" in text
    assert "… (1988 more lines)\n" in text
    assert len(text) < 10_000


def test_a_blank_message_leaves_nothing_behind():
    assert "  call 1 given 1: ValueError\n  Traceback" in said(failed(1, "  \n  \n"))
    assert not [line for line in said(failed(1, "  \n  \n")).splitlines() if line.strip() == ":"]


def test_nothing_that_a_terminal_would_obey_is_said():
    text = said(
        failed(1, "\x1b[2Jcleared \ud800", argument="'\x1b]0;t\x07'", said=("10%\r100%", "\x1b[31mred" + "y" * 9000))
    )
    assert "\x1b" not in text
    assert "    100%\n    redyyy" in text
    assert "… (9003 characters)\n" in text
    text.encode()
