"""`classes.dataclass` makes what the standard library makes, later."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import signal
import sys
import threading
from dataclasses import FrozenInstanceError, field
from functools import cached_property
from types import MemberDescriptorType, ModuleType
from typing import ClassVar

import pytest

from pipeline_runner import classes
from pipeline_runner.classes import dataclass
from pipeline_runner.marks import Mark


def family(dataclass):
    """Classes of every shape that is used here, made by this decorator."""

    @dataclass(frozen=True, kw_only=True)
    class Base:
        """Documented."""

        mark: int | None
        shared: ClassVar[int] = 1

        def sentence(self):
            return f"{self.mark}"

    @dataclass(frozen=True, kw_only=True)
    class Below(Base):
        name: str
        names: tuple = ()

        @cached_property
        def long(self):
            return self.name * 2

    @dataclass
    class Open:
        items: list = field(default_factory=list)
        hidden: str = field(default="x", repr=False, compare=False)

    @dataclass(frozen=True)
    class Hashed:
        a: int
        b: dict = field(default_factory=dict)

        def __hash__(self):
            return hash(self.a)

    @dataclass(frozen=True, eq=False)
    class Itself:
        a: int

    @dataclass(frozen=True)
    class Same:
        a: int

        def __eq__(self, other):
            return True

    @dataclass
    class Later:
        a: int
        later: int = field(init=False, repr=False, compare=False)
        before: int = field(init=False, default=3)

    @dataclass(frozen=True, slots=True)
    class Slots:
        a: int
        b: tuple = ()

    @dataclass(frozen=True, slots=True)
    class MoreSlots(Slots):
        c: str = "c"

    @dataclass(frozen=True)
    class BelowSlots(Slots):
        c: str = "c"

    @dataclass
    class After:
        a: int
        b: int = 2

        def __post_init__(self):
            self.b += self.a

    return {
        cls.__name__: cls
        for cls in (Base, Below, Open, Hashed, Itself, Same, Later, Slots, MoreSlots, BelowSlots, After)
    }


ARGUMENTS = {
    "Base": {"mark": 1},
    "Below": {"mark": None, "name": "n"},
    "Open": {},
    "Hashed": {"a": 1},
    "Itself": {"a": 1},
    "Same": {"a": 1},
    "BelowSlots": {"a": 1},
    "Later": {"a": 1},
    "Slots": {"a": 1},
    "MoreSlots": {"a": 1, "c": "d"},
    "After": {"a": 1},
}


def attributes(value):
    return {name: getattr(value, name) for name in type(value).__dataclass_fields__ if hasattr(value, name)}


def default(cls, name):
    found = getattr(cls, name, "none")
    return "slot" if isinstance(found, MemberDescriptorType) else found


def facts(cls, arguments):
    """What there is to know of a class by using it."""
    one, other = cls(**arguments), cls(**arguments)
    named = dataclasses.fields(cls)
    told = {
        "repr": repr(one).rpartition("<locals>.")[2],
        "equal": one == other,
        "unlike": one == 1,
        "fields": [(f.name, f.type, f.kw_only, f.repr, f.compare) for f in named],
        "match": cls.__match_args__,
        "frozen": cls.__dataclass_params__.frozen,
        "defaults": {f.name: default(cls, f.name) for f in named if hasattr(one, "__dict__")},
        "doc": (cls.__doc__ or "").startswith("Documented"),
        "copy": copy.copy(one) == one,
        "replaced": attributes(dataclasses.replace(one, **arguments)),
        "pickled": attributes(copy.deepcopy(one)),
        "dict": hasattr(one, "__dict__"),
    }
    for name, deed in (
        ("hash", lambda: hash(one) == hash(other)),
        ("set", lambda: setattr(one, named[0].name, 5)),
        ("set another", lambda: setattr(one, "another", 5)),
        ("delete", lambda: delattr(one, named[0].name)),
        ("too many", lambda: cls(1, 2, 3, 4)),
        ("unknown", lambda: cls(unknown=1)),
    ):
        if name == "set another" and not hasattr(one, "__dict__"):
            continue  # the standard library fails at it: its super() is that of a class that it has thrown away
        try:
            told[name] = deed()
        except Exception as error:
            told[name] = type(error), str(error).rpartition(".")[2]
    return told


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_class_is_what_the_standard_library_makes_of_it(name):
    assert facts(family(dataclass)[name], ARGUMENTS[name]) == facts(
        family(dataclasses.dataclass)[name], ARGUMENTS[name]
    )


@pytest.mark.parametrize(
    "use",
    [
        lambda cls: [cls(a=1) for _ in range(classes.MANY + 1)],
        lambda cls: [cls(a=1) == cls(a=1) for _ in range(classes.MANY)],
        lambda cls: [hash(cls(a=1)) for _ in range(classes.MANY)],
        lambda cls: repr(cls(a=1)),
        dataclasses.fields,
        dataclasses.is_dataclass,
        lambda cls: dataclasses.asdict(cls(a=1)),
        lambda cls: [type("Sub", (cls,), {})(a=1) for _ in range(classes.MANY + 1)],
        lambda cls: dataclasses.make_dataclass("Sub", ["b"], bases=(cls,), frozen=True)(a=1, b=2),
    ],
)
def test_a_class_is_finished_by_whoever_needs_it_first(use):
    @dataclass(frozen=True)
    class Late:
        a: int

    assert not isinstance(vars(Late)["__dataclass_fields__"], dict)
    use(Late)
    assert isinstance(vars(Late)["__dataclass_fields__"], dict)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_first_values_of_a_class_are_like_all_others(name):
    ours, usual = family(dataclass)[name], family(dataclasses.dataclass)[name]
    assert ours.__match_args__ == usual.__match_args__
    for _ in range(classes.MANY + 2):
        one, other = ours(**ARGUMENTS[name]), usual(**ARGUMENTS[name])
        assert attributes(copy.copy(one)) == attributes(other)
        if hasattr(other, "__dict__"):
            assert list(vars(one).items()) == list(vars(other).items())
        for attribute in ("later", "before", "items", "hidden"):
            assert getattr(one, attribute, "none") == getattr(other, attribute, "none")


@pytest.mark.parametrize("name", ARGUMENTS)
def test_fields_are_named_and_replaced_as_the_standard_library_does(name):
    ours, usual = family(dataclass)[name], family(dataclasses.dataclass)[name]
    assert classes.names(ours) == tuple(field.name for field in dataclasses.fields(usual))
    one, other = ours(**ARGUMENTS[name]), usual(**ARGUMENTS[name])
    first = next(iter(ARGUMENTS[name]), "items")
    made, expected = classes.replace(one, **{first: 7}), dataclasses.replace(other, **{first: 7})
    assert (type(made), attributes(made)) == (ours, attributes(expected))
    with pytest.raises(TypeError):
        classes.replace(one, unknown=1)


def test_our_own_way_to_tell_of_a_field_is_the_libraries():
    def made(dataclass, field):
        @dataclass
        class Told:
            items: list = field(default_factory=list)
            hidden: str = field(default="x", repr=False, compare=False)
            named: int = field(default=1, kw_only=True)

        return Told

    told = [
        facts(made(dataclass, field), {"hidden": "y"})
        for dataclass, field in ((dataclass, classes.field), (dataclasses.dataclass, field))
    ]
    assert told[0] == told[1]


def test_a_value_in_slots_is_pickled_before_its_class_is_finished():
    assert pickle.loads(pickle.dumps(Mark("a.yaml", 1, 2))) == Mark("a.yaml", 1, 2)
    assert not hasattr(Mark("a.yaml", 1, 2), "__dict__")


def test_two_values_do_not_share_what_is_made_for_each():
    opened = family(dataclass)["Open"]
    assert opened().items is not opened().items


def test_a_value_that_is_read_back_before_any_was_made_is_equal_to_one_that_is_made():
    @dataclass(frozen=True)
    class Late:
        a: int

    value = object.__new__(Late)  # as pickle does
    vars(value)["a"] = 1
    assert (value == Late(1), hash(value) == hash(Late(1)), repr(value) == repr(Late(1))) == (True, True, True)


def test_a_frozen_value_cannot_be_changed_even_if_none_was_made_before():
    @dataclass(frozen=True)
    class Late:
        a: int

    value = object.__new__(Late)
    with pytest.raises(FrozenInstanceError):
        value.a = 1


def test_threads_that_need_a_class_at_once_all_get_it():
    for _ in range(50):

        @dataclass(frozen=True)
        class Late:
            a: int
            b: int = 2

        ready, made = threading.Barrier(4), []

        def use(cls=Late, ready=ready, made=made):
            ready.wait(5)
            made.append((cls(1), hash(cls(1)), repr(cls(1))))

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert len(made) == 4
        assert len(set(map(str, made))) == 1


def test_a_child_that_is_forked_while_a_class_is_finished_can_use_it():
    @dataclass
    class Late:
        x: int

    at_it, child_is_there = threading.Event(), threading.Event()

    def finish():
        with classes._lock:
            at_it.set()
            child_is_there.wait(0.5)  # a fork waits for it, so nobody says so

    thread = threading.Thread(target=finish)
    thread.start()
    at_it.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        os._exit(0 if Late(1).x == 1 else 1)
    child_is_there.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_first_values_are_told_apart_as_later_ones():
    def of(dataclass, field):
        @dataclass(frozen=True)
        class Base:
            a: int

        @dataclass(frozen=True)
        class Below(Base):
            b: str = "b"
            seen: list = field(default_factory=list, compare=False)

        return Base, Below

    for base, below in (of(dataclass, classes.field), of(dataclasses.dataclass, dataclasses.field)):
        first = below(1, "x", [1]), below(1, "x", [2]), below(2, "x", [1]), base(1)
        told = [[one == other for other in first] for one in first]
        assert told == [[True, True, False, False]] * 2 + [[False, False, True, False], [False, False, False, True]]
        hashes = list(map(hash, first))
        assert hashes == [hash((1, "x")), hash((1, "x")), hash((2, "x")), hash((1,))]
        assert first[0] != (1, "x")
        assert repr(first[3]).endswith("Base(a=1)")  # it is finished
        assert [[one == other for other in first] for one in first] == told
        assert list(map(hash, first)) == hashes


def test_values_are_made_while_another_thread_is_at_importing_the_library(monkeypatch):
    @dataclass
    class Late:
        x: int
        y: int = 2

    monkeypatch.setitem(sys.modules, "dataclasses", ModuleType("dataclasses"))  # as it is in the middle of it
    assert (Late(1).x, Late(1).y) == (1, 2)
