"""Where messages of other threads wait for the engine's, which listens to its workers' sockets meanwhile."""

from __future__ import annotations

import os
import threading
from collections import deque

from pipeline_runner.engine.messages import Message


class Inbox:
    """Anybody puts, also a signal handler; the engine's thread alone takes. Who puts wakes it if it sleeps."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._asleep = False
        self._lock = threading.RLock()  # a signal handler may put while its own thread does
        self._button: int | None = None

    def bell(self) -> int:
        """A descriptor that can be read when somebody has rung. Asked for once, by who listens to it."""
        bell, self._button = os.pipe()
        os.set_blocking(bell, False)
        return bell

    def put(self, message: Message) -> None:
        self._messages.append(message)
        if self._asleep:
            self._ring()

    def take(self) -> Message | None:
        """The next message, if there is one."""
        return self._messages.popleft() if self._messages else None

    def fall_asleep(self) -> bool:
        """Whether to wait for the bell: False when there is something here already."""
        self._asleep = True
        # Only now: who puts something after this look finds that the bell is waited for.
        if self._messages:
            self._asleep = False
        return self._asleep

    def wake_up(self) -> None:
        self._asleep = False

    def close(self) -> None:
        """Nobody listens any more; what is put is put, and rings for nobody."""
        with self._lock:
            self._asleep = False
            if self._button is not None:
                os.close(self._button)
                self._button = None

    def _ring(self) -> None:
        with self._lock:
            if self._asleep and self._button is not None:
                self._asleep = False  # once is enough
                os.write(self._button, b".")
