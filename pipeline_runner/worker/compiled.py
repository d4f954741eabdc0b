"""Keeps Python from running what it compiled before an edit.

Python takes a compiled module for good as long as its source has the same size and the same time of change. An edit
within a second, or one that is put in with its old time (`cp -p`, `rsync -t`, an archive), would be run as it was
before, for a result that is kept as the edited one's. So of a user's modules only what was compiled of the very same
text is taken: it is written with the hash of its source, which Python itself checks then (PEP 552).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from itertools import count

from pipeline_runner.typed import Any

SETTLED_S = 2.0  # a source that was changed later than this ago may not be what was compiled
_CHECKED = (3).to_bytes(4, "little")  # of a compiled file: it has the hash of its source, which is to be checked
_sizes = count(int.from_bytes(os.urandom(4)))  # each new, since `py_compile` writes down what it is told here
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_INSTALLED = tuple({os.path.join(folder, "") for folder in (sys.prefix, sys.base_prefix, _OWN)})


def believe_sources_only() -> None:
    """From now on, in this process, of modules that are not installed with Python."""
    if getattr(SourceFileLoader, _WRITE) is not _written:
        setattr(SourceFileLoader, _WRITE, _written)
        setattr(SourceFileLoader, _LOOK, _looked_at)


_WRITE, _LOOK = "_cache_bytecode", "path_stats"
_write: Callable[..., Any] = getattr(SourceFileLoader, _WRITE)
_look: Callable[..., Any] = getattr(SourceFileLoader, _LOOK)


def _looked_at(loader: SourceFileLoader, path: str) -> Any:
    """What is compared with a compiled file that has no hash of its source: of a user's, it never fits."""
    told = _look(loader, path)
    return told if _installed(path) else {**told, "size": next(_sizes)}


def _written(loader: SourceFileLoader, source_path: str, bytecode_path: str, data: bytes) -> None:
    if _installed(source_path):
        _write(loader, source_path, bytecode_path, data)
        return
    from importlib.util import source_hash

    try:
        source = loader.get_data(source_path)
        age_s = time.time() - os.stat(source_path).st_mtime
    except OSError:
        return
    if age_s > SETTLED_S:
        # The magic number, flags, and eight bytes; what follows is the code.
        _write(loader, source_path, bytecode_path, data[:4] + _CHECKED + source_hash(source) + data[16:])


def _installed(path: str) -> bool:
    """Whether it is nobody's to edit: then its time and size will do."""
    return path.startswith(_INSTALLED) or "site-packages" in path or "dist-packages" in path
