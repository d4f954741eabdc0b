"""Dataclasses that are finished when they are first used: the standard library's, for what is needed of them.

It takes 0.6 ms to write the methods of one. A small run defines 115, uses 40, and spent a third of its time on them;
the others are for problems that nobody has, and for events that do not happen.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type | None = None, /, **options: bool) -> Any:
        """As `dataclasses.dataclass`, except that the class has its methods when they are first asked for."""
        if cls is None:
            return lambda cls: dataclass(cls, **options)
        if options.keys() - _OPTIONS or any(_finished(base) for base in cls.__mro__[1:]):
            return dataclasses.dataclass(cls, **options)
        _lazy[cls] = _Lazy(cls, options)
        _lazy[cls].begin()
        return cls


_OPTIONS = {"frozen", "kw_only", "eq", "repr"}  # others make another class, or are too rare to be worth it
_ASKED = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")
_lock = threading.RLock()
# A process that is forked while another thread finishes a class would wait for that thread, which it does not have.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_lazy: WeakKeyDictionary[type, _Lazy] = WeakKeyDictionary()


def _finished(cls: type) -> bool:
    """Whether it is a dataclass that was none of ours."""
    return cls not in _lazy and "__dataclass_fields__" in vars(cls)


class _Lazy:
    """A class that is to be finished.

    The standard library finishes a stand-in, from which all is then taken over piece by piece: another thread finds
    either what leads here, or what will be there.
    """

    def __init__(self, cls: type, options: dict[str, bool]) -> None:
        self._cls = cls
        self._options = options
        self._own = dict(vars(cls))
        self._stand_in: type | None = None

    def begin(self) -> None:
        frozen, eq = self._options.get("frozen", False), self._options.get("eq", True)
        methods = ["__init__", *["__repr__"] * self._options.get("repr", True), *["__eq__"] * eq]
        for name in methods + ["__hash__"] * (eq and frozen) + ["__replace__"] * (sys.version_info >= (3, 13)):
            self._put(name, self._leading_here(name))
        if eq and not frozen:
            self._put("__hash__", None)
        if frozen:
            self._put("__setattr__", _refusing(self._cls, "__setattr__", "assign to"))
            self._put("__delattr__", _refusing(self._cls, "__delattr__", "delete"))
        for name in _ASKED:
            self._put(name, _Asked(self, name))

    def _put(self, name: str, value: object) -> None:
        implied = name == "__hash__" and self._own.get(name, "") is None and "__eq__" in self._own  # by Python itself
        if name not in self._own or implied:
            setattr(self._cls, name, value)

    def _leading_here(self, name: str) -> Callable[..., Any]:
        def first(instance: object, *args: Any, **kwargs: Any) -> Any:
            self.finish()
            return getattr(self._cls, name)(instance, *args, **kwargs)

        return first

    def finish(self) -> type:
        with _lock:
            if self._stand_in is None:
                self._stand_in = made = self._made()
                for name in ("__init__", "__repr__", "__eq__", "__hash__", "__replace__", *_ASKED):
                    if name in vars(made):
                        self._put(name, vars(made)[name])
                for name in made.__dataclass_fields__:  # type: ignore[attr-defined]
                    if isinstance(self._own.get(name), dataclasses.Field):  # what stood for a default
                        self._take_over(name, made)
            return self._stand_in

    def _take_over(self, name: str, made: type) -> None:
        if name in vars(made):
            setattr(self._cls, name, vars(made)[name])
        else:
            delattr(self._cls, name)

    def _made(self) -> type:
        """The same fields in the same order, from stand-ins of the same classes above."""
        above = tuple(_lazy[base].finish() for base in self._cls.__bases__ if base in _lazy)
        told = {name: value for name, value in self._own.items() if name not in ("__dict__", "__weakref__")}
        return dataclasses.dataclass(type(self._cls.__name__, above, told), **self._options)


class _Asked:
    """Stands where `fields`, `replace`, `match`, or a class below look for what is known of a dataclass."""

    def __init__(self, lazy: _Lazy, name: str) -> None:
        self._lazy = lazy
        self._name = name

    def __get__(self, _: object, owner: type) -> Any:
        return vars(self._lazy.finish())[self._name]


def _refusing(cls: type, name: str, deed: str) -> Callable[..., None]:
    """What keeps a frozen class as it is."""

    def refuse(self: object, field: str, *value: object) -> None:
        if type(self) is cls or field in cls.__dataclass_fields__:  # type: ignore[attr-defined]
            raise dataclasses.FrozenInstanceError(f"cannot {deed} field {field!r}")
        getattr(super(cls, self), name)(field, *value)

    return refuse
