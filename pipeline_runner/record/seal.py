"""Seals on what is stored: a row or value that anyone or anything has touched is taken for absent.

The key is the user's own and lives apart from the state folder, so that a folder brought from
elsewhere (unpacked, mounted, shared) is not unpickled as if we had written it.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from pipeline_runner.hashing import compare_digest
from pipeline_runner.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

BYTES = 32
MUCH = 1 << 17  # bytes after which OpenSSL is worth its import, by being five times as fast
SHORT = 1 << 16  # bytes that are copied together, since one step is a third of the time of many


def load_key() -> bytes:
    """The user's key, made when there is none yet. Where no folder of the user's can be written: one for this
    process alone, and nothing stored is trusted later. Source: PROMISES, pickles."""
    try:
        folder = key_folder()
    except OSError:
        return os.urandom(BYTES)
    file = folder / "key"
    kept = _read(file)
    if kept is not None:
        return kept
    key = os.urandom(BYTES)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = folder / f".key-{os.urandom(8).hex()}"
        made.touch(mode=0o600)
        made.write_bytes(key)
        try:
            os.link(made, file)  # unlike a rename, this does not replace the key that another run has just made
        except FileExistsError:
            if len(file.read_bytes()) == BYTES:
                key = file.read_bytes()
            else:
                made.replace(file)
                return key
        made.unlink()
    except OSError:
        return key
    return key


def key_kept() -> bytes | None:
    """The user's key, where there is one that is kept."""
    try:
        return _read(key_folder() / "key")
    except OSError:
        return None


def key_folder() -> Path:
    """Where the user's key is. Errors: OSError for a user without a home, such as a bare number in a container."""
    try:
        return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "prun"
    except RuntimeError as homeless:
        raise OSError(f"user {os.getuid()} has no home folder") from homeless


def key_not_kept() -> str | None:
    """Why a run of now cannot be resumed: there is no place for the key. None where it can."""
    load_key()
    try:
        folder = key_folder()
    except OSError as homeless:
        where = str(homeless)
    else:
        if _read(folder / "key") is not None:
            return None
        where = f"{folder} cannot be written"
    return f"this run cannot be resumed: {where}, so no key can be kept; set XDG_CONFIG_HOME to a folder of yours"


def _read(file: Path) -> bytes | None:
    try:
        key = file.read_bytes()
        return key if len(key) == BYTES and file.stat().st_uid == os.getuid() else None
    except OSError:
        return None


def seal(key: bytes, *parts: bytes | str | int | None) -> bytes:
    """The seal of a row: its parts in order, each with its length, so that none can flow into the next."""
    global _sealed
    pieces: list[bytes] = []
    add, sizes, most = pieces.append, _SIZES, 0
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()  # which escapes what UTF-8 has no word for
        size = len(data)
        if size < 256:
            add(sizes[size])
        else:
            add(size.to_bytes(8, "little"))
            most = max(most, size)
        add(data)
        _sealed += size
    begun, ended = _halves(key, _sealed > MUCH)
    inner, outer = begun.copy(), ended.copy()
    for piece in pieces if most > SHORT else (b"".join(pieces),):
        inner.update(piece)
    outer.update(inner.digest())
    return outer.digest()


_sealed = 0  # bytes, by this process
_SIZES = [size.to_bytes(8, "little") for size in range(256)]


@lru_cache(maxsize=4)
def _halves(key: bytes, much: bool) -> tuple[_Hash, _Hash]:
    """HMAC-SHA256 as RFC 2104 says it, begun with a key: half the time of `hmac.digest`, which also lets another thread
    go on each time, so that the caller waits for its turn again."""
    if much:
        from hashlib import sha256  # OpenSSL's
    else:
        from pipeline_runner.hashing import sha256
    block = key.ljust(64, b"\0")
    pads = ([byte ^ pad for byte in block] for pad in (0x36, 0x5C))
    inner, outer = (sha256(bytes(begin)) for begin in pads)
    return inner, outer


def intact(key: bytes, stored: object, *parts: bytes | str | int | None) -> bool:
    return isinstance(stored, bytes) and compare_digest(stored, seal(key, *parts))
