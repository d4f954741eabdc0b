"""What calls have written: which call wrote a file last, and what was in it then.

A call that has `outs` need not be made again only while each of them is still what it wrote.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline_runner.record.earlier import Earlier, Found
from pipeline_runner.record.files import Files
from pipeline_runner.record.reading import QUICK, Reading
from pipeline_runner.record.recipe import call_key
from pipeline_runner.record.seal import intact, seal
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.record.store import Store
from pipeline_runner.typed import NamedTuple

_WRITTEN = "SELECT path, digest, seal FROM out WHERE key = ?"

Row = tuple[str, bytes, bytes, str, bytes]


class Written(NamedTuple):
    """A file of a call, as the store has it; not yet known to be intact."""

    path: str  # from the state folder on
    digest: str
    seal: bytes

    def really(self, store: Store) -> str:
        """Where it is."""
        return os.path.normpath(os.path.join(store.really, self.path))


def out_key(store: Store, folder: Path, recipe: bytes, index: int, digest: bytes | None) -> bytes:
    """The key of what a call writes: the same call in another folder writes other files."""
    return hashlib.sha256(call_key(recipe, index, digest) + store.way_to(folder)).digest()


def rows(store: Store, recipe: bytes, key: bytes, written: Sequence[tuple[str, str]]) -> Iterator[Row]:
    """What the store keeps of the files that one call has written."""
    for path, digest in written:
        name = os.path.relpath(path, store.really)
        yield name, recipe, key, digest, seal(store.key, name, recipe, key, digest)


class Standing:
    """What is kept of a stage with outs: only calls whose files are there, and unchanged.

    Used by one thread at a time.
    """

    def __init__(
        self,
        earlier: Earlier,
        reading: Reading,
        recipe: bytes,
        outs: int,
        folder: Path,
        files: Files,
        known: Mapping[bytes, Sequence[Written]],
    ) -> None:
        self._earlier = earlier
        self._reading = reading
        self._store = reading.store
        self._recipe = recipe
        self._outs = outs  # how many each call has
        self._folder = folder
        self._files = files
        self._known = known  # by the keys of calls: what they have written, as far as it was asked before
        self.missing = ""  # the first file that was not found as it was written

    def __bool__(self) -> bool:
        return bool(self._earlier)

    @property
    def hurried(self) -> bool:
        """Whether whoever asks has no time: NotAtHand is raised where much would have to be read."""
        return self._earlier.hurried

    @hurried.setter
    def hurried(self, hurried: bool) -> None:
        self._earlier.hurried = hurried

    def find(self, index: int, digests: bytes | None, most: int, *, wanted: bool) -> Found | None:
        """As Earlier.find, as far as the outs of these calls stand."""
        found = self._earlier.find(index, digests, most, wanted=wanted)
        if found is None:
            return None
        standing = 0
        files: list[str] = []
        while standing < found.calls:
            digest = None if digests is None else digests[8 * standing : 8 * (standing + 1)]
            written = self._standing(out_key(self._store, self._folder, self._recipe, index + standing, digest))
            if not written:
                break
            files += written
            standing += 1
        found.calls, found.files = standing, files
        return found if standing else None

    def _standing(self, key: bytes) -> list[str]:
        """What a call has written, if all of it is there as it was written."""
        written = list(self._written(key))
        changed = next((path for path, digest in written if not self._is(path, digest)), "")
        self.missing = self.missing or changed
        return [path for path, _ in written] if len(written) >= self._outs and not changed else []

    def _written(self, key: bytes) -> Iterator[tuple[str, str]]:
        try:
            found = self._known.get(key) or [Written(*row) for row in self._reading.rows(_WRITTEN, key)]
        except sqlite3.Error:  # damaged: the call is made again
            return
        for written in found:
            if intact(self._store.key, written.seal, written.path, self._recipe, key, written.digest):
                yield written.really(self._store), written.digest

    def _is(self, path: str, digest: str) -> bool:
        try:
            return self._files.digest(path, QUICK if self.hurried else None) == digest
        except OSError:
            return False
