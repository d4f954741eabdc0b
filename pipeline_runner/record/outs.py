"""What calls have written: which call wrote a file last, and what was in it then.

A call that has `outs` need not be made again only while each of them is still what it wrote.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline_runner.record.earlier import Earlier, Found
from pipeline_runner.record.files import Files
from pipeline_runner.record.reading import Reading
from pipeline_runner.record.recipe import call_key
from pipeline_runner.record.seal import intact, seal
from pipeline_runner.record.store import Store

Row = tuple[str, bytes, bytes, str, bytes]


def out_key(store: Store, folder: Path, recipe: bytes, index: int, digest: bytes | None) -> bytes:
    """The key of what a call writes: the same call in another folder writes other files."""
    project = os.path.relpath(os.path.realpath(folder), os.path.realpath(store.folder))
    return hashlib.sha256(call_key(recipe, index, digest) + os.fsencode(project)).digest()


def rows(store: Store, recipe: bytes, key: bytes, written: Sequence[tuple[str, str]]) -> Iterator[Row]:
    """What the store keeps of the files that one call has written."""
    for path, digest in written:
        name = os.path.relpath(path, os.path.realpath(store.folder))
        yield name, recipe, key, digest, seal(store.key, name, recipe, key, digest)


class Standing:
    """What is kept of a stage with outs: only calls whose files are there, and unchanged.

    Used by one thread at a time.
    """

    def __init__(
        self, earlier: Earlier, reading: Reading, recipe: bytes, outs: int, folder: Path, files: Files
    ) -> None:
        self._earlier = earlier
        self._reading = reading
        self._store = reading.store
        self._recipe = recipe
        self._outs = outs  # how many each call has
        self._folder = folder
        self._files = files
        self.missing = ""  # the first file that was not found as it was written

    def __bool__(self) -> bool:
        return bool(self._earlier)

    def find(self, index: int, digests: bytes | None, most: int, *, wanted: bool) -> Found | None:
        """As Earlier.find, as far as the outs of these calls stand."""
        found = self._earlier.find(index, digests, most, wanted=wanted)
        if found is None:
            return None
        standing = 0
        while standing < found.calls:
            digest = None if digests is None else digests[8 * standing : 8 * (standing + 1)]
            if not self._stands(out_key(self._store, self._folder, self._recipe, index + standing, digest)):
                break
            standing += 1
        found.calls = standing
        return found if standing else None

    def _stands(self, key: bytes) -> bool:
        written = list(self._written(key))
        changed = next((path for path, digest in written if not self._is(path, digest)), "")
        self.missing = self.missing or changed
        return len(written) >= self._outs and not changed

    def _written(self, key: bytes) -> Iterator[tuple[str, str]]:
        try:
            found = list(self._reading.rows("SELECT path, digest, seal FROM out WHERE key = ?", key))
        except sqlite3.Error:  # damaged: the call is made again
            return
        for name, digest, stored in found:
            path = os.path.normpath(os.path.join(os.path.realpath(self._store.folder), name))
            if intact(self._store.key, stored, name, self._recipe, key, digest):
                yield path, digest

    def _is(self, path: str, digest: str) -> bool:
        try:
            return self._files.digest(path) == digest
        except OSError:
            return False
