"""Shows an address to the user, without showing it to all who may list this machine's processes."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory


def can_show() -> bool:
    """Whether there is a browser with a window: not one for a terminal, which would take that from us."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))


@contextmanager
def shown(address: str) -> Iterator[None]:
    """Have the user's browser open it.

    A browser is started with what it is to open as an argument, which every user of the machine can read (`ps`). So
    that is a file that only this user can read, and which leads to the address.
    """
    own = os.environ.get("XDG_RUNTIME_DIR", "")  # in memory, and gone when the user is
    with TemporaryDirectory(prefix="prun-ui-", dir=own if os.access(own, os.W_OK) else None) as folder:
        page = Path(folder) / "open.html"
        page.touch(0o600)
        page.write_text(
            "<!doctype html><meta charset=utf-8><title>prun</title>"
            f'<meta http-equiv="refresh" content="0;url={escape(address)}"><a href="{escape(address)}">prun ui</a>'
        )
        # Some are waited for until they end; by then we are to have answered them.
        threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()
        yield
