"""What tells the arguments of one call from those of another: 8 bytes each, the same in every process."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline_runner.buffers import LEAST
from pipeline_runner.hashing import blake2s
from pipeline_runner.record.files import Files
from pipeline_runner.spec.opening import is_url, stamp
from pipeline_runner.typed import Any

_PLAIN = frozenset({str, int, float, bool, type(None)})
DIGEST = 8  # bytes


def digests(values: Sequence[Any]) -> bytes:
    """8 bytes for each argument, that tell one from another. Errors: what pickle raises for one it cannot take."""
    if set(map(type, values)) == {str}:  # lines of a file: a call for each would cost as much as the hash
        return b"".join([blake2s(f"str {text}".encode("utf-8", "surrogatepass")).digest()[:DIGEST] for text in values])
    return b"".join(map(digest, values))


def digest(value: Any) -> bytes:
    """The same of one argument."""
    kind = type(value)
    # Most of all items are plain, and a pickler of their own would cost three times the hash. Cut here and not by
    # blake2s itself: what reads its `digest_size` costs as much as hashing a line.
    if kind is str:
        return blake2s(f"str {value}".encode("utf-8", "surrogatepass")).digest()[:DIGEST]
    if kind in _PLAIN:
        return blake2s(f"{kind.__name__} {value!r}".encode()).digest()[:DIGEST]
    # So are most rows, as of a table: their repr says all that there is in them, for a third of what a pickler takes.
    if ((kind is list or kind is tuple) and _PLAIN.issuperset(map(type, value))) or (
        kind is dict and _PLAIN.issuperset(map(type, value)) and _PLAIN.issuperset(map(type, value.values()))
    ):
        return blake2s(f"{kind.__name__} {value!r}".encode()).digest()[:DIGEST]
    return blake2s(stable(value)).digest()[:DIGEST]


def path_digests(folder: Path, files: Files, paths: Sequence[Any]) -> bytes:
    """The same of files' names: with what is in each file, since its call will read it."""
    return b"".join(digest(with_contents(folder, files, path)) for path in paths)


def with_contents(folder: Path, files: Files, path: Any) -> Any:
    """A file's name with what is in it, or with what its own filesystem says; alone where there is none."""
    if isinstance(path, str) and is_url(path):
        try:
            return path, stamp(path, folder)
        except Exception:  # a filesystem's library may raise anything: the call itself will tell
            return path
    return files.told(folder, path)


def stable(value: Any, make: Callable[..., pickle.Pickler] = pickle.Pickler) -> bytes:
    """Equal values give equal bytes: without a memo, text that happens to be one object is not told from equal text;
    sets, which come in an order of their own in every process, go sorted.

    Large buffers are told by their SHA-256, which most machines have built in: a third of the time of a hash of their
    pickle, and no copy of them. `make`: a pickler that says more of some values.
    """
    if type(value) is str and len(data := value.encode("utf-8", "surrogatepass")) < 1 << 8:
        return _of_text(data)
    buffer = io.BytesIO()
    told: list[bytes] = []
    pickler = make(buffer, 5, buffer_callback=lambda large: _told_apart(told, large))
    pickler.fast = True
    pickler.dump(sets_told(value))
    return b"".join((buffer.getvalue(), *told))


def _of_text(data: bytes) -> bytes:
    """What a pickler without a memo would write of a short text: to make one takes five times as long."""
    said = b"\x8c%c%b." % (len(data), data)
    return b"\x80\x05\x95%b%b" % (len(said).to_bytes(8, "little"), said) if len(said) >= 4 else b"\x80\x05" + said


def _told_apart(told: list[bytes], buffer: pickle.PickleBuffer) -> bool:
    """Take the digest of a large buffer; True: it is a small one, and goes with the pickle."""
    with memoryview(buffer) as view:
        if view.nbytes < LEAST or not view.contiguous:
            return True
    from hashlib import sha256  # OpenSSL's, for what is large

    told.append(sha256(buffer.raw()).digest())
    return False


def sets_told(value: Any, tell: Callable[[Any], bytes] = stable) -> Any:
    """The same nesting, with what stands for a set in the place of each."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list or kind is tuple:
        return kind([sets_told(inner, tell) for inner in value])
    if kind is dict:
        return {key: sets_told(inner, tell) for key, inner in value.items()}
    if kind is set or kind is frozenset:
        return _a_set, kind.__name__, sorted(map(tell, value))
    return value


def _a_set() -> None:
    """Only its name is ever used: no value of a user's is taken for what stands for a set."""
