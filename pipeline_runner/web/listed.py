"""The runs of the list, each in a line. Those that have ended are read once: 200 of 200 stages each take a second."""

from __future__ import annotations

from dataclasses import replace

from pipeline_runner.axes import Status
from pipeline_runner.record.history import History, Told


class Listed:
    """Remembers runs that have ended, until they are resumed. Used by one thread at a time."""

    def __init__(self) -> None:
        self._ended: dict[str, tuple[int, Told]] = {}  # with the number of the event that began the last try

    def of(self, history: History, most: int) -> list[Told]:
        """So many runs, the newest first."""
        found = [(history.tried(name), self._told(history, name)) for name in history.names()[:most]]
        # An interrupted one may be one that nobody has told yet to be at work.
        lasting = [(tried, told) for tried, told in found if told.status not in (None, Status.INTERRUPTED)]
        self._ended = {told.run: (tried, told) for tried, told in lasting}
        return [told for _, told in found]

    def _told(self, history: History, name: str) -> Told:
        tried, told = self._ended.get(name, (None, None))
        if told is not None and tried == history.tried(name):
            return told
        told = history.told(name)
        return told if told.status is not None else replace(told, took_s=history.at_work_s(name))
