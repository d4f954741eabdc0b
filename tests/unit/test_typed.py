"""The named tuples that cost nothing to define are what the standard library's are."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import typing

import pytest

from pipeline_runner import typed


class Ours(typed.NamedTuple):
    """Of a place."""

    x: int
    y: int
    name: str = "there"

    @property
    def sum(self) -> int:
        return self.x + self.y


class Theirs(typing.NamedTuple):
    """Of a place."""

    x: int
    y: int
    name: str = "there"


@pytest.mark.parametrize(
    ("values", "named"),
    [((1, 2), {}), ((1, 2, "here"), {}), ((1,), {"y": 2}), ((), {"y": 2, "x": 1}), ((1, 2), {"name": "here"})],
)
def test_a_named_tuple_is_made_as_the_standard_librarys(values, named):
    ours, theirs = Ours(*values, **named), Theirs(*values, **named)
    assert tuple(ours) == tuple(theirs)
    assert (ours.x, ours.y, ours.name) == (theirs.x, theirs.y, theirs.name)
    assert ours.sum == 3
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert ours._asdict() == theirs._asdict()
    assert tuple(ours._replace(x=5)) == tuple(theirs._replace(x=5))
    assert type(ours._replace(x=5)) is type(Ours._make(theirs)) is Ours
    assert Ours._fields == Theirs._fields == Ours.__match_args__
    assert Ours._field_defaults == Theirs._field_defaults
    assert pickle.loads(pickle.dumps(ours)) == copy.copy(ours) == ours
    assert type(pickle.loads(pickle.dumps(ours))) is type(copy.deepcopy(ours)) is Ours
    assert not hasattr(ours, "__dict__")
    match ours:
        case Ours(1, y=2):
            pass
        case _:
            raise AssertionError


@pytest.mark.parametrize(
    ("values", "named"),
    [((1,), {}), ((), {}), ((1, 2, "here", 4), {}), ((1, 2), {"x": 1}), ((1, 2), {"z": 1}), ((), {"y": 1})],
)
def test_what_does_not_fit_a_named_tuple_is_refused(values, named):
    for kind in (Ours, Theirs):
        with pytest.raises(TypeError):
            kind(*values, **named)
        with pytest.raises(TypeError):
            kind._make((1, 2))
        with pytest.raises((ValueError, TypeError)):  # as of Python 3.13 the latter
            kind(1, 2)._replace(z=3)
        with pytest.raises(AttributeError):
            kind(1, 2).x = 3


def test_what_types_are_said_with_needs_no_typing():
    code = "import sys\nfrom pipeline_runner import typed, calls\nsys.exit('typing' in sys.modules)"
    assert subprocess.run([sys.executable, "-S", "-c", code], check=False).returncode == 0
