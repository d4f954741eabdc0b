"""Dataclasses that are finished when it is worth it: the standard library's, for what is needed of them.

It takes 0.6 ms to write the methods of one, and as long as fifteen of them to import what writes them. A small run
defines 115 and uses 45, most of them once or twice; the others are for problems that nobody has, and for events that do
not happen. So the first values of a class are made, compared and hashed by a loop over its fields, in some microseconds
each, and its methods are written when there are many of them, or when somebody asks for another one.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from weakref import WeakKeyDictionary

from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:

    def field(**options: Any) -> Any:
        """As `dataclasses.field`."""
        return _Told(options)

    def replace(value: Any, /, **changes: Any) -> Any:
        """As `dataclasses.replace`."""
        if _fields(type(value)) is None:
            return _library().replace(value, **changes)
        return type(value)(**{**(given(value) or {}), **changes})

    def dataclass(cls: type | None = None, /, **options: bool) -> Any:
        """As `dataclasses.dataclass`, except that the class has its methods when they are first asked for."""
        if cls is None:
            return lambda cls: dataclass(cls, **options)
        if options.keys() - _OPTIONS or any(_finished(base) for base in cls.__mro__[1:]):
            return _library().dataclass(_as_the_library_tells(cls), **options)
        lazy = _Lazy(cls, options)
        _lazy[lazy.cls] = lazy
        lazy.begin()
        return lazy.cls


MANY = 16  # values of one class, after which it is worth while to have written its methods
MORE = 256  # where the library, which writes them, has yet to be imported for it
_OPTIONS = {"frozen", "kw_only", "eq", "repr", "slots"}  # others are too rare to be worth it
_ASKED = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")


def names(cls: Any) -> tuple[str, ...]:
    """The names of the fields of a dataclass."""
    fields = _fields(cls)
    return tuple(field.name for field in _library().fields(cls)) if fields is None else tuple(fields)


def given(value: Any) -> dict[str, Any] | None:
    """What a value of a dataclass was made with, by the names of the fields; None: it is of no dataclass."""
    fields = _fields(type(value))
    if fields is not None:
        return {name: getattr(value, name) for name, field in fields.items() if not field.later}
    if not hasattr(type(value), "__dataclass_fields__"):
        return None
    return {field.name: getattr(value, field.name) for field in _library().fields(value) if field.init}


def left_out(cls: Any) -> dict[str, Any]:
    """What the fields of a dataclass are that need not be given: made for this once."""
    fields = _fields(cls)
    if fields is None:
        raise TypeError(cls)
    return {name: field.left_out() for name, field in fields.items() if not field.lacking}


def _library() -> Any:
    import dataclasses  # takes with it inspect, ast, dis and others: an eighth of a script

    return dataclasses


_lock = threading.RLock()
# A process that is forked while another thread finishes a class would wait for that thread, which it does not have.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_lazy: WeakKeyDictionary[type, _Lazy] = WeakKeyDictionary()


def _fields(cls: type) -> Mapping[str, _Plain] | None:
    return _lazy[cls].fields() if cls in _lazy else None


def _finished(cls: type) -> bool:
    """Whether it is a dataclass that was none of ours."""
    return cls not in _lazy and "__dataclass_fields__" in vars(cls)


class _Told:
    """What was told of a field, until the standard library is to know it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options


def _told_of(default: Any) -> Mapping[str, Any] | None:
    """What was told of a field where its default would be; None: that is its default."""
    if isinstance(default, _Told):
        return {"compare": True, **default.options}
    library: Any = sys.modules.get("dataclasses")  # where another thread is at importing it, nobody has a Field yet
    if not isinstance(default, getattr(library, "Field", ())):
        return None
    said = {name: getattr(default, name) for name in ("default", "default_factory", "init", "kw_only")}
    return {name: value for name, value in said.items() if value is not library.MISSING}


def _as_the_library_tells(cls: type) -> type:
    for name, told in list(vars(cls).items()):
        if isinstance(told, _Told):
            setattr(cls, name, _library().field(**told.options))
    return cls


class _Lazy:
    """A class that is to be finished.

    The standard library finishes a stand-in, from which all is then taken over piece by piece: another thread finds
    either what leads here, or what will be there.
    """

    def __init__(self, cls: type, options: dict[str, bool]) -> None:
        self._options = options
        self._own = dict(vars(cls))
        self.cls = _with_slots(cls) if options.get("slots") else cls
        self._stand_in: type | None = None
        self._by_hand = 0
        self._fields: Mapping[str, _Plain] | None = None
        self._asked_for: tuple[dict[str, _Plain], list[str]] | None = None  # those that are given, and by position

    def begin(self) -> None:
        frozen, eq = self._options.get("frozen", False), self._options.get("eq", True)
        self._put("__init__", self._making_by_hand())
        for name in ["__repr__"] * self._options.get("repr", True) + ["__replace__"] * (sys.version_info >= (3, 13)):
            self._put(name, self._leading_here(name))
        if eq:
            self._put("__eq__", self._comparing_by_hand())
        if eq and frozen:
            self._put("__hash__", self._hashing_by_hand())
        if eq and not frozen:
            self._put("__hash__", None)
        if frozen:
            self._put("__setattr__", _refusing(self.cls, "__setattr__", "assign to"))
            self._put("__delattr__", _refusing(self.cls, "__delattr__", "delete"))
        if frozen and self._options.get("slots"):
            self._put("__getstate__", lambda value: [getattr(value, name) for name in names(type(value))])
            self._put("__setstate__", lambda value, state: _set(value, zip(names(type(value)), state, strict=True)))
        for name in _ASKED:
            self._put(name, _Asked(self, name))
        if not self._options.get("slots"):
            self._have_defaults()

    def _have_defaults(self) -> None:
        """In place of what was told of them."""
        for name in self._own.get("__annotations__", ()):
            told = _told_of(self._own.get(name))
            if told is not None and "default" in told:
                setattr(self.cls, name, told["default"])
            elif told is not None:
                delattr(self.cls, name)

    def _put(self, name: str, value: object) -> None:
        own = self._own
        implied = name == "__hash__" and own.get(name, "") is None and "__eq__" in own  # by Python itself
        if implied or name not in own:
            setattr(self.cls, name, value)

    def _leading_here(self, name: str) -> Callable[..., Any]:
        def first(instance: object, *args: Any, **kwargs: Any) -> Any:
            return self._finished(name)(instance, *args, **kwargs)

        return first

    def _finished(self, name: str) -> Callable[..., Any]:
        """A method that the library has written."""
        self.finish()
        return getattr(self.cls, name)  # type: ignore[no-any-return]

    def _making_by_hand(self) -> Callable[..., None]:
        """An `__init__` that needs no writing. Whatever is not plainly right, the real one is to tell."""

        slotted = any("__slots__" in vars(base) for base in self.cls.__mro__[:-1])  # also of a class above

        def make(instance: object, *args: Any, **kwargs: Any) -> None:
            values = self._values(args, kwargs) if self._once_more() else None
            if values is None:
                self.finish()
                vars(self.cls)["__init__"](instance, *args, **kwargs)
                return
            if slotted:
                _set(instance, values.items())
            else:
                vars(instance).update(values)
            if after := getattr(instance, "__post_init__", None):
                after()

        return make

    def _once_more(self) -> bool:
        """Whether it is done by hand, for one of the first times."""
        self._by_hand += 1
        return self._by_hand <= MANY or (self._by_hand <= MORE and "dataclasses" not in sys.modules)

    def _comparing_by_hand(self) -> Callable[..., Any]:
        def equal(one: object, other: object) -> Any:
            if other.__class__ is not one.__class__:
                return NotImplemented
            told = self._compared(one, other)
            return self._finished("__eq__")(one, other) if told is None else told[0] == told[1]

        return equal

    def _hashing_by_hand(self) -> Callable[..., int]:
        def hashed(value: object) -> int:
            told = self._compared(value)
            return hash(told[0]) if told is not None else int(self._finished("__hash__")(value))

        return hashed

    def _compared(self, *values: object) -> list[tuple[Any, ...]] | None:
        """What tells each from others; None: the library is to say."""
        fields = self.fields() if self._stand_in is None and self._once_more() else None
        if fields is None or any(field.compared is None for field in fields.values()):
            return None
        told = [name for name, field in fields.items() if field.compared]
        return [tuple([getattr(value, name) for name in told]) for value in values]

    def _values(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """The values of all fields, in their order; None: these arguments are not right, or we cannot tell."""
        if self._asked_for is None:
            known = self.fields()
            if known is None:
                return None
            asked_for = {name: field for name, field in known.items() if not field.later}
            self._asked_for = asked_for, [name for name, field in asked_for.items() if not field.kw_only]
        fields, positions = self._asked_for
        given = dict(zip(positions, args, strict=False))
        if len(given) < len(args) or given.keys() & kwargs.keys() or kwargs.keys() - fields.keys():
            return None
        given |= kwargs
        if any(name not in given and field.lacking for name, field in fields.items()):
            return None
        return {name: given[name] if name in given else field.left_out() for name, field in fields.items()}

    def fields(self) -> Mapping[str, _Plain] | None:
        """Those of the classes above, and its own; None: there are others than plain ones."""
        if self._fields is None:
            found: dict[str, _Plain] = {}
            for base in self.cls.__mro__[:0:-1]:
                if base in _lazy:
                    above = _lazy[base].fields()
                    if above is None:
                        return None
                    found |= above
            kw_only = self._options.get("kw_only", False)
            for name, kind in self._own.get("__annotations__", {}).items():
                field = _plain(self._own, name, kw_only) if name in self._own else _Plain(kw_only, True, False, None)
                again = name in found and name not in self._own  # it may have the default of a class above
                if field is None or again or not isinstance(kind, str) or _no_field(kind):
                    return None
                found[name] = field
            self._fields = found
        return self._fields

    def finish(self) -> type:
        with _lock:
            if self._stand_in is None:
                self._stand_in = made = self._made()
                for name in ("__init__", "__repr__", "__eq__", "__hash__", "__replace__", *_ASKED):
                    if name in vars(made):
                        self._put(name, vars(made)[name])
            return self._stand_in

    def _made(self) -> type:
        """The same fields in the same order, from stand-ins of the same classes above."""
        above = tuple(_lazy[base].finish() for base in self.cls.__bases__ if base in _lazy)
        told = {name: value for name, value in self._own.items() if name not in ("__dict__", "__weakref__")}
        made: type = _library().dataclass(_as_the_library_tells(type(self.cls.__name__, above, told)), **self._options)
        return made


def _no_field(kind: str) -> bool:
    """Whether an annotation says, or may say, that what it stands at is none."""
    return "ClassVar" in kind or "InitVar" in kind or "KW_ONLY" in kind


class _Plain:
    """What there is to know of a field to fill it."""

    def __init__(
        self,
        kw_only: bool,
        lacking: bool,
        later: bool,
        left_out: Callable[[], Any] | None,
        compared: bool | None = True,
    ) -> None:
        self.kw_only = kw_only
        self.lacking = lacking  # it has to be given
        self.later = later  # it cannot be given, and is set by others
        self.left_out: Any = left_out  # makes its value where it is not given
        self.compared = compared  # it tells values apart; None: we do not know


def _plain(own: Mapping[str, Any], name: str, kw_only: bool) -> _Plain | None:
    """A field of a class; None for one that is filled in its own way."""
    told = _told_of(own[name])
    if told is None:
        return _Plain(kw_only, False, False, lambda: own[name])
    later = not told.get("init", True)
    kw_only, compared = told.get("kw_only", kw_only), None if "hash" in told else told.get("compare")
    if "default_factory" in told:
        return None if later else _Plain(kw_only, False, False, told["default_factory"], compared)
    return _Plain(kw_only, "default" not in told, later, lambda: told["default"], compared)


def _with_slots(cls: type) -> type:
    """The class again, its fields in slots."""
    own = dict(vars(cls))
    inherited = {name for base in cls.__mro__[1:] for name in getattr(base, "__slots__", ())}
    names = tuple(own.get("__annotations__", {}))
    for name in (*names, "__dict__", "__weakref__"):
        own.pop(name, None)
    made = type(cls)(cls.__name__, cls.__bases__, {**own, "__slots__": tuple(n for n in names if n not in inherited)})
    made.__qualname__ = cls.__qualname__
    return made


def _set(value: object, attributes: Any) -> None:
    """Of a value that refuses to be changed."""
    for name, told in attributes:
        object.__setattr__(value, name, told)


class _Asked:
    """Stands where `fields`, `replace`, `match`, or a class below look for what is known of a dataclass."""

    def __init__(self, lazy: _Lazy, name: str) -> None:
        self._lazy = lazy
        self._name = name

    def __get__(self, _: object, owner: type) -> Any:
        fields = self._lazy.fields() if self._name == "__match_args__" else None
        if fields is not None:
            return tuple(name for name, field in fields.items() if not (field.kw_only or field.later))
        return vars(self._lazy.finish())[self._name]


def _refusing(cls: type, name: str, deed: str) -> Callable[..., None]:
    """What keeps a frozen class as it is."""

    def refuse(self: object, field: str, *value: object) -> None:
        if type(self) is cls or field in cls.__dataclass_fields__:  # type: ignore[attr-defined]
            raise _library().FrozenInstanceError(f"cannot {deed} field {field!r}")
        getattr(super(cls, self), name)(field, *value)

    return refuse
