"""What types are said with, for modules that a small run imports: `typing` itself takes a fifteenth of a script.

A type checker sees the real ones. While the program runs, annotations are never looked at: what stands here has the
form that an alias or a class needs in which it stands, and no meaning. A named tuple is one; the standard library
compiles a function and every annotation for each, and takes fifteen times as long.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import IO as IO
    from typing import Any as Any
    from typing import Literal as Literal
    from typing import NamedTuple as NamedTuple
    from typing import NewType as NewType
    from typing import NoReturn as NoReturn
    from typing import Protocol as Protocol
    from typing import Self as Self
    from typing import TextIO as TextIO
    from typing import TypedDict as TypedDict
    from typing import TypeGuard as TypeGuard
    from typing import TypeVar as TypeVar
    from typing import assert_never as assert_never
    from typing import cast as cast
else:
    from _collections import _tuplegetter

    class _Any:
        """Any type, and whatever is made of one."""

        def __class_getitem__(cls, _):
            return cls

    Any = IO = Literal = NoReturn = Self = TextIO = TypeGuard = _Any
    Protocol, TypedDict = object, dict

    def NewType(name, kind):
        return kind

    def TypeVar(name, **_):
        return _Any

    def cast(_, value):
        return value

    def assert_never(value):
        raise AssertionError(f"Expected code to be unreachable, but got: {value!r}")

    _tuple = tuple.__new__

    class _Rows(type):
        """Makes the classes that are written below `NamedTuple`."""

        def __new__(kind, name, bases, own):
            if bases[0].__base__ is tuple:  # directly below it
                fields = tuple(own.get("__annotations__", ()))
                defaults = {field: own[field] for field in fields if field in own}
                own |= {"__slots__": (), "_fields": fields, "__match_args__": fields, "_field_defaults": defaults}
                own |= {"_size": len(fields), "_last": tuple(defaults.values())}
                own |= {field: _tuplegetter(at, None) for at, field in enumerate(fields)}
            return super().__new__(kind, name, bases, own)

    class _Row(tuple, metaclass=_Rows):
        """What `collections.namedtuple` gives each of its classes."""

        __slots__ = ()

        def __new__(cls, *values, **named):
            if named:
                values = cls._filled(values, named)
            elif len(values) != cls._size:
                left_out = cls._size - len(values)
                if not 0 < left_out <= len(cls._last):
                    raise cls._misfit(values, named)
                values += cls._last[-left_out:]
            return _tuple(cls, values)

        @classmethod
        def _filled(cls, values, named):
            fields = cls._fields
            given = dict(zip(fields, values))  # noqa: B905 - one too many is told below
            rest = {**cls._field_defaults, **named}
            missing = any(field not in given and field not in rest for field in fields)
            if missing or given.keys() & named.keys() or named.keys() - set(fields) or len(values) > len(fields):
                raise cls._misfit(values, named)
            return [given[field] if field in given else rest[field] for field in fields]

        @classmethod
        def _misfit(cls, values, named):
            return TypeError(f"{cls.__name__}({', '.join(cls._fields)}) cannot be made of {values!r} and {named!r}")

        @classmethod
        def _make(cls, values):
            made = _tuple(cls, values)
            if len(made) != cls._size:
                raise cls._misfit(tuple(made), {})
            return made

        def _replace(self, /, **changes):
            made = self._make(map(changes.pop, self._fields, self))
            if changes:
                raise ValueError(f"{type(self).__name__} has no {', '.join(changes)}")
            return made

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            told = ", ".join(f"{field}={value!r}" for field, value in self._asdict().items())
            return f"{type(self).__name__}({told})"

        def __getnewargs__(self):
            return tuple(self)

    NamedTuple = _Row
