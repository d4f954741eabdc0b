"""What is kept of stages of one call, asked for many at a time: a thousand that are up to date need a few questions.

That nothing was found is believed within one turn of the engine, in which nothing is written down that could change it.
A row that was found stays good: it is sealed, and what it says of files is compared with them when it is used. What is
not found here is looked for once more by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline_runner.classes import dataclass, field
from pipeline_runner.plan.plan import Plan
from pipeline_runner.record.files import Files
from pipeline_runner.record.reading import Reading
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.spec.pipeline import StageName
from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.record.outs import Written

MOST = 256  # stages that are asked for together at most
SMALL = 1 << 12  # bytes of a value that is read ahead

# The newest of each: that is found by the index alone, however many runs have the same.
_ROWS = """
SELECT seq, run, stage, recipe, first, calls, digests, data, file, start, seal FROM done WHERE seq IN
(SELECT max(seq) FROM done WHERE recipe IN ({}) AND first = 0 AND calls = 1 GROUP BY recipe)
AND coalesce(length(data), 0) <= ?
"""


@dataclass(frozen=True)
class Known:
    """What was found of one stage: a row of `done` as it is stored, with its number before it, and by the key of its
    call what that has written."""

    row: tuple[Any, ...] | None = None
    written: Mapping[bytes, Sequence[Written]] = field(default_factory=dict)


class Ahead:
    """`keys` are the recipes of those stages of which any run's calls count."""

    def __init__(self, reading: Reading, files: Files, run: str, plan: Plan, keys: Mapping[StageName, bytes]) -> None:
        self._reading, self._files, self._run, self._plan, self._keys = reading, files, run, plan, keys
        self._line = [name for name in keys if plan.stages[name].spec.over is None]
        self._places = {name: place for place, name in enumerate(self._line)}
        self._passed = 0  # so many at the front were asked for
        self._asked: set[StageName] = set()
        self._known: dict[StageName, Known] = {}
        self._many = 1

    def of(self, name: StageName) -> Known | None:
        """What is known of a stage; None: nothing."""
        if name not in self._places or name in self._asked:
            return None
        if name not in self._known:
            self._look(self._together(name))
        self._asked.add(name)
        return self._known.pop(name, None)

    def forget(self) -> None:
        """Something may have been written since. What was found is what it was: whoever uses it looks at the files."""
        self._known = {name: known for name, known in self._known.items() if known.row is not None}
        self._many = 1

    def _together(self, name: StageName) -> list[StageName]:
        """This one, and others that will be asked for soon: four times as many each time in one turn."""
        while self._passed < len(self._line) and self._line[self._passed] in self._asked:
            self._passed += 1
        found = [name]
        for place in range(self._passed, len(self._line)):
            if len(found) == self._many:
                break
            other = self._line[place]
            if other not in self._asked and other not in self._known and other != name:
                found.append(other)
        self._many = min(4 * self._many, MOST)
        return found

    def _look(self, names: Sequence[StageName]) -> None:
        try:
            rows = self._rows({self._keys[name] for name in names})
            known = {name: rows[self._keys[name]] for name in names if self._keys[name] in rows}
            calls = {name: key for name, row in known.items() if (key := self._call(name, row)) is not None}
            written = self._written(list(calls.values()))
        except sqlite3.Error:  # damaged: each looks for itself, as far as it can
            return
        for name in names:
            of_it = {calls[name]: written[calls[name]]} if calls.get(name) in written else {}
            self._known[name] = Known(known.get(name), of_it)

    def _rows(self, keys: Iterable[bytes]) -> Mapping[bytes, tuple[Any, ...]]:
        given = tuple(keys)
        rows = list(self._reading.rows(_ROWS.format(_marks(given)), *given, SMALL))
        others = self._reading.uncached({row[1] for row in rows} - {self._run})
        return {row[3]: row for row in rows if row[1] not in others}

    def _call(self, name: StageName, row: Sequence[Any]) -> bytes | None:
        """The key by which the outs of a stage's call are known, where it has any."""
        spec = self._plan.stages[name].spec
        if not spec.outs or not isinstance(row[6], bytes | None):
            return None
        from pipeline_runner.record.outs import out_key

        return out_key(self._reading.store, self._plan.pipeline.folder_of(spec), row[3], 0, row[6])

    def _written(self, keys: Sequence[bytes]) -> Mapping[bytes | None, list[Written]]:
        if not keys:
            return {}
        from pipeline_runner.record.outs import Written

        question = f"SELECT key, path, digest, seal FROM out WHERE key IN ({_marks(keys)})"
        found: dict[bytes | None, list[Written]] = defaultdict(list)
        for key, *written in self._reading.rows(question, *keys):
            found[key].append(Written(*written))
        paths = [each.really(self._reading.store) for written in found.values() for each in written]
        self._files.expect(paths)
        return found


def _marks(given: Sequence[object]) -> str:
    return ", ".join("?" * len(given))
