"""Exceptions and values on their way to the runner: whatever their classes do, something readable arrives."""

from __future__ import annotations

import copyreg
import pickle

import pytest

from pipeline_runner.calls import Cause
from pipeline_runner.worker import failures
from pipeline_runner.worker.failures import LONGEST, failure_of
from pipeline_runner.worker.packing import pack, pack_result


class TwoArguments(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Wordless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Stuck(Exception):
    def __reduce__(self):
        raise RuntimeError("no pickle")


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return failure_of(caught, Cause.RAISED)


def test_an_ordinary_exception_is_told_whole():
    told = raised(KeyError("x"))
    assert (told.cause, told.type, told.message) == (Cause.RAISED, "KeyError", "'x'")
    assert told.lineage == ("KeyError", "LookupError", "Exception")
    assert isinstance(pickle.loads(told.pickled), KeyError)
    assert "test_failures_and_packing.py" in told.traceback
    assert str(told) == "KeyError: 'x'"


@pytest.mark.parametrize("error", [TwoArguments(1, 2), Stuck("x")])
def test_an_exception_that_does_not_travel_is_told_in_words(error, monkeypatch):
    # Where Dask or Ray has been imported, tblib may have taught pickle every exception that there was.
    monkeypatch.delitem(copyreg.dispatch_table, type(error), raising=False)
    told = raised(error)
    assert told.pickled is None
    assert told.type == type(error).__name__


def test_an_exception_whose_text_raises_is_told_all_the_same():
    told = raised(Wordless())
    assert told.message == "(its message cannot be shown: __str__ raised)"
    assert "Wordless" in str(told)


def test_a_long_message_is_cut():
    assert len(raised(ValueError("x" * 10 * LONGEST)).message) == LONGEST + 1


def test_an_exception_without_a_message_is_its_name():
    assert str(raised(ValueError())) == "ValueError"


def test_a_cause_is_in_the_traceback():
    try:
        try:
            raise OSError("below")
        except OSError as error:
            raise ValueError("above") from error
    except ValueError as error:
        told = failure_of(error, Cause.RAISED)
    assert "OSError: below" in told.traceback
    assert "ValueError: above" in told.traceback


@pytest.mark.parametrize("value", [1, "text", [1, {"a": (2, 3)}], None, b"x" * 100_000])
def test_plain_values_come_back(value):
    assert pickle.loads(pack(value)) == value
    assert pickle.loads(pack_result(value)) == value


def test_what_pickle_cannot_dill_can():
    by = 3
    assert pickle.loads(pack(lambda x: x * by))(2) == 6
    assert pickle.loads(pack_result([lambda: 5]))[0]() == 5


def test_the_error_is_the_one_that_people_know():
    with pytest.raises(TypeError, match="generator"):
        pack(x for x in ())


class Unreadable:
    def __reduce__(self):
        return (int, ("not a number",))


def test_a_result_that_cannot_be_read_back_is_refused_where_it_was_made():
    with pytest.raises(ValueError, match="not a number"):
        pack_result(Unreadable())
    assert pack(Unreadable())


def test_a_value_nested_too_deep_is_an_error_and_no_crash():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(RecursionError):
        pack_result(nested)
    while nested:
        nested = nested[0]


def test_frames_of_ours_are_left_out_of_what_an_exception_came_from_too():
    above = KeyError("above")
    above.__context__ = ExceptionGroup("held", [raised_by_ours()])
    text = failures.told(above)
    assert "pipeline_runner/worker/packing.py" not in text
    assert "ValueError: invalid literal" in text


def raised_by_ours():
    try:
        pack_result([Unreadable()])
    except ValueError as error:
        error.__traceback__ = error.__traceback__.tb_next  # begins in ours, as in a worker
        return error


def test_a_long_message_is_cut_in_the_traceback_too():
    above = KeyError("above")
    above.__cause__ = ValueError("x" * 1_000_000)
    assert len(failures.told(above)) < 2 * LONGEST
