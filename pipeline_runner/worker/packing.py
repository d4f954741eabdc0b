"""Values made into bytes: by pickle where it can, by dill where it must, and known to come back."""

from __future__ import annotations

import io
import pickle
import sys
from functools import cache
from typing import Any

TRUSTED = frozenset(
    {"builtins", "numpy", "pandas", "datetime", "decimal", "fractions", "collections", "pathlib", "uuid"}
)
"""Libraries whose objects surely unpickle; the objects of others are tried, once for each chunk."""


class _Packer(pickle.Pickler):
    """A pickler that notices what passes through it.

    reducer_override is asked only for objects that the C pickler does not know itself, so a chunk
    of numbers, text, lists and mappings costs nothing more.
    """

    strange = False  # something not trusted to come back
    main = False  # something of __main__, which is another module in a worker
    error: Exception | None = None

    def reducer_override(self, value: Any) -> Any:
        module = str(getattr(value if isinstance(value, type) else type(value), "__module__", ""))
        if callable(value):
            module = str(getattr(value, "__module__", module))
        if module == "__main__":
            self.main = True
        if module.partition(".")[0] not in TRUSTED:
            self.strange = True
        return NotImplemented


def pack(value: Any) -> bytes:
    """The bytes of a value that goes to a worker.

    What belongs to `__main__` (a script's or notebook's own) is shipped whole, by dill: a worker's
    `__main__` is another one. Errors: pickle's own where dill cannot either.
    """
    data, packer = _pickle(value)
    return data if data is not None and not packer.main else _dill(value, packer)


def pack_result(value: Any) -> bytes:
    """The bytes of a value that comes from a worker, tried here where they might not unpickle.

    Errors: what pickle, dill or the value's own classes raise, also what they would raise when read back.
    """
    data, packer = _pickle(value)
    if data is None:
        data = _dill(value, packer)
    if packer.strange:
        pickle.loads(data)
    return data


def _pickle(value: Any) -> tuple[bytes | None, _Packer]:
    buffer = io.BytesIO()
    packer = _Packer(buffer, pickle.HIGHEST_PROTOCOL)
    try:
        packer.dump(value)
    except RecursionError:
        raise  # dill would need an even deeper stack
    except Exception as error:  # PicklingError, AttributeError, TypeError, or what a class raises
        packer.strange = True
        packer.error = error
        return None, packer
    return buffer.getvalue(), packer


_classes: dict[str, type] = {}
"""Classes of the runner's `__main__` that this worker was sent, by name: one each, whoever sent it."""


def own_class(name: str, data: bytes) -> type:
    """A class of `__main__`: where it was written it is itself, so that values are equal to what is made there."""
    found: Any = sys.modules["__main__"]
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type):
        return found
    if name not in _classes:
        made: type = pickle.loads(data)
        _classes.setdefault(name, made)
    return _classes[name]


@cache
def _shipper() -> Any:
    """dill's pickler, which sends classes of `__main__` with their names. dill takes long to import."""
    import dill

    class Shipper(dill.Pickler):  # type: ignore[misc]
        whole: frozenset[type] = frozenset()  # classes that are being written out at this moment

        def reducer_override(self, value: Any) -> Any:
            if not isinstance(value, type) or value.__module__ != "__main__" or "<locals>" in value.__qualname__:
                return NotImplemented
            if value in self.whole:
                return NotImplemented
            return own_class, (value.__qualname__, ship(value, self.whole | {value}))

    def ship(value: Any, whole: frozenset[type] = frozenset()) -> bytes:
        buffer = io.BytesIO()
        shipper = Shipper(buffer, protocol=pickle.HIGHEST_PROTOCOL, recurse=True)
        shipper.whole = whole
        shipper.dump(value)
        return buffer.getvalue()

    return ship


def _dill(value: Any, packer: _Packer) -> bytes:
    try:
        data: bytes = _shipper()(value)
    except Exception:
        # Pickle's own error is the one that people know.
        if packer.error is not None:
            raise packer.error from None
        raise
    return data
