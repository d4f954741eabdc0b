"""Moments and spans, as people write them."""

from __future__ import annotations


def when(at: float) -> str:
    """A moment, in people's own time."""
    from datetime import datetime

    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"


def took(seconds: float) -> str:
    """A span, with as much of it as matters."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
