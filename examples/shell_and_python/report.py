"""Logs to be read, and the sum of what was found in them."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

PAGES = ("/", "/help", "/it's here", "/search?q=$(id)")


def write_log(day: int, folder: str) -> str:
    """A day's requests, packed; gives the file's name."""
    Path(folder).mkdir(exist_ok=True)
    path = Path(folder) / f"day {day} of Ada's server.log.gz"
    lines = [f"GET {PAGES[n % 4].replace(' ', '+')} {500 if n % (day + 2) == 0 else 200} {n}" for n in range(40)]
    with gzip.open(path, "wt", encoding="utf-8") as log:
        log.write("\n".join(lines) + "\n")
    return str(path)


def count(paths: Sequence[str]) -> dict[str, int | str]:
    """How many errors there were, and the page that had most."""
    found = Counter(paths)
    worst, _ = min(found.items(), key=lambda item: (-item[1], item[0]))
    return {"total": sum(found.values()), "worst": worst}


def expected() -> dict[str, object]:
    """What the pipeline's last stage gives, without a shell."""
    paths = [PAGES[n % 4].replace(" ", "+") for day in range(3) for n in range(40) if n % (day + 2) == 0]
    counted = count(paths)
    return {"page": {"errors": counted["total"], "worst": counted["worst"], "days": 3}}
