"""Values made into bytes: by pickle where it can, by dill where it must, and known to come back."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Iterable
from functools import cache
from itertools import islice

from pipeline_runner.buffers import KNOWN, LEAST
from pipeline_runner.typed import Any, NamedTuple

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


def _keep_in(apart: list[memoryview], buffer: pickle.PickleBuffer) -> bool:
    """Take a large buffer out; True: it is a small one, and stays."""
    with memoryview(buffer) as view:
        if view.nbytes < LEAST or not view.contiguous:
            return True
    apart.append(buffer.raw())
    return False


class _BytesPacker(_Packer):
    """One that takes out large bytes and bytearrays too. Each object that it meets costs a call, so it is only for
    values in which there are some."""

    texts: list[bytes | bytearray]

    def persistent_id(self, value: Any) -> tuple[int, bool] | None:
        if type(value) not in (bytes, bytearray) or len(value) < LEAST:
            return None
        number = next((n for n, text in enumerate(self.texts) if text is value), len(self.texts))
        if number == len(self.texts):
            self.texts.append(value)
        return number, type(value) is bytearray


def large_bytes(values: Iterable[Any], deep: bool = True) -> bool:
    """Whether there are large bytes among the first few values, or just inside of one of them: where people have them.
    Any others go with the pickle."""
    for value in islice(values, 8):
        kind = type(value)
        if kind is bytes or kind is bytearray:
            if len(value) >= LEAST:
                return True
        elif deep and (kind is tuple or kind is list):
            if large_bytes(value, deep=False):
                return True
        elif deep and kind is dict and large_bytes(value.values(), deep=False):
            return True
    return False


class Parts(NamedTuple):
    """A pickle, and the large buffers that it leaves out: as they are in the value itself, nothing is copied."""

    data: bytes
    apart: list[memoryview]
    strange: bool = False  # it might not unpickle: try it


def parts(values: list[Any], *, result: bool) -> Parts:
    """The pickle of a list, with what is large in it apart. `result`: it comes from a worker.

    Errors: as of `pack` and `pack_result`.
    """
    apart: list[memoryview] = []
    buffer = io.BytesIO()
    texts: list[bytes | bytearray] = []
    packer = (_BytesPacker if KNOWN and large_bytes(values) else _Packer)(*_given(buffer, apart))
    if isinstance(packer, _BytesPacker):
        packer.texts = texts
    data = _dumped(values, buffer, packer)
    if data is None or (packer.main and not result):
        return Parts(_dill(values, packer), [], packer.strange)
    return Parts(data, [*apart, *(memoryview(text) for text in reversed(texts))], packer.strange)


def pack(value: Any, apart: list[memoryview] | None = None) -> bytes:
    """The bytes of a value that goes to a worker. `apart` gets large buffers, which are left out then.

    What belongs to `__main__` (a script's or notebook's own) is shipped whole, by dill: a worker's
    `__main__` is another one. Errors: pickle's own where dill cannot either.
    """
    data, packer = _pickle(value, apart)
    return data if data is not None and not packer.main else _dill(value, packer)


def pack_result(value: Any) -> bytes:
    """The bytes of a value that comes from a worker, tried here where they might not unpickle.

    Errors: what pickle, dill or the value's own classes raise, also what they would raise when read back.
    """
    data, packer = _pickle(value, None)
    if data is None:
        data = _dill(value, packer)
    if packer.strange:
        pickle.loads(data)
    return data


def _pickle(value: Any, apart: list[memoryview] | None) -> tuple[bytes | None, _Packer]:
    buffer = io.BytesIO()
    packer = _Packer(*_given(buffer, apart))
    return _dumped(value, buffer, packer), packer


def _given(buffer: io.BytesIO, apart: list[memoryview] | None) -> tuple[Any, ...]:
    """What a pickler is made with."""
    if apart is None or not KNOWN:
        return buffer, pickle.HIGHEST_PROTOCOL
    return buffer, pickle.HIGHEST_PROTOCOL, True, lambda large: _keep_in(apart, large)


def _dumped(value: Any, buffer: io.BytesIO, packer: _Packer) -> bytes | None:
    try:
        packer.dump(value)
    except RecursionError:
        raise  # dill would need an even deeper stack
    except Exception as error:  # PicklingError, AttributeError, TypeError, or what a class raises
        packer.strange = True
        packer.error = error
        return None
    return buffer.getvalue()


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
