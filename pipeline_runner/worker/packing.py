"""Results made into bytes in the worker, and known to come back from them before they leave it."""

from __future__ import annotations

import io
import pickle
from typing import Any

TRUSTED = frozenset({"builtins", "numpy", "pandas", "datetime", "decimal", "fractions", "collections", "pathlib", "uuid"})
"""Libraries whose objects surely unpickle; the objects of others are tried, once for each chunk."""


class _Packer(pickle.Pickler):
    """A pickler that notices whether anything but the trusted passes through it.

    reducer_override is asked only for objects that the C pickler does not know itself, so a chunk
    of numbers, text, lists and mappings costs nothing more.
    """

    strange = False

    def reducer_override(self, value: Any) -> Any:
        module = getattr(type(value), "__module__", "") if not isinstance(value, type) else value.__module__
        if str(module).partition(".")[0] not in TRUSTED:
            self.strange = True
        return NotImplemented


def pack_values(values: list[Any]) -> bytes:
    """The values as one pickled list; by dill where pickle cannot.

    Errors: what pickle, dill or the values' own classes raise, also what they would raise when read back.
    """
    buffer = io.BytesIO()
    packer = _Packer(buffer, pickle.HIGHEST_PROTOCOL)
    try:
        packer.dump(values)
    except RecursionError:
        raise
    except Exception as error:
        return _by_dill(values, error)
    data = buffer.getvalue()
    if packer.strange:
        pickle.loads(data)
    return data


def pack_value(value: Any) -> bytes:
    return pack_values([value])


def _by_dill(values: list[Any], first: Exception) -> bytes:
    """Errors: pickle's own error where dill fails too, since that is the one that people know."""
    import dill

    try:
        data: bytes = dill.dumps(values, recurse=True)
        dill.loads(data)
    except Exception:
        raise first from None
    return data
