"""SQLite, without the dates that `sqlite3` adds to it: that and their import take three times as long as itself."""

from __future__ import annotations

from pipeline_runner.typed import TYPE_CHECKING

__all__ = ["sqlite3"]

if TYPE_CHECKING:
    import sqlite3
else:
    try:
        import _sqlite3 as sqlite3
    except ImportError:
        import sqlite3
