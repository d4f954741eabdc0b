"""What is in a file or a folder, as a digest: the same bytes under the same names give the same one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from pipeline_runner.hashing import sha256

SHORT = 1 << 16  # bytes of a file for which the library's loop takes longer to begin than to read
ASIDE = ".prun-"  # the beginning of names that are ours, beside the users' own files
_NOT_CONTENTS = ("__pycache__", ".prun")


def contents(path: str) -> str:
    """The digest of a file's bytes, or of a folder's names and files. Errors: OSError."""
    return folder(path, file) if os.path.isdir(path) else file(path)


def file(path: str) -> str:
    """The digest of a file's bytes. A pipe or a device has none to read: it is told by its kind."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        return f"kind {stat.S_IFMT(status.st_mode):o}"
    with open(path, "rb", buffering=0) as opened:
        begin = opened.read(SHORT)
        if len(begin) == status.st_size < SHORT:
            return sha256(begin).hexdigest()
        import hashlib  # with OpenSSL's, for what is large

        digest = hashlib.sha256(begin)
        return hashlib.file_digest(opened, lambda: digest).hexdigest()


def folder(path: str, of_file: Callable[[str], str]) -> str:
    """The digest of all files below a folder, by their names in it. Errors: OSError."""
    told = [f"{_one(os.path.join(path, name), of_file)} {name}" for name in names(path)]
    return sha256("\0".join(told).encode("utf-8", "surrogateescape")).hexdigest()


def names(path: str) -> list[str]:
    """The files below a folder, sorted; without what is ours, and what Python keeps there for itself."""
    return sorted(_below(path, ""))


def _one(path: str, of_file: Callable[[str], str]) -> str:
    try:
        return of_file(path)
    except FileNotFoundError:
        if os.path.islink(path):  # one that leads nowhere is told by where it leads
            return f"link {os.readlink(path)}"
        raise


def _below(path: str, inside: str) -> Iterator[str]:
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name in _NOT_CONTENTS or entry.name.startswith(ASIDE):
                continue
            name = inside + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path, f"{name}/")
            else:
                yield name
