"""Sales of some shops, asked for at a place that does not always answer."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any


def fetch(shop: int, day: str, notes: str) -> dict[str, Any]:
    """What a shop has sold on a day. Every third shop answers only when it is asked again."""
    asked = Path(notes, f"asked-{shop}")
    if shop % 3 == 0 and not asked.exists():
        asked.touch()
        raise ConnectionError(f"shop {shop} does not answer")
    random = Random(f"{day} {shop}")
    return {"shop": shop, "sold": [random.randint(1, 100) for _ in range(20)]}


def total(sales: dict[str, Any]) -> tuple[int, int]:
    """A shop, and the sum of what it has sold."""
    return sales["shop"], sum(sales["sold"])


def report(totals: list[tuple[int, int]], day: str) -> str:
    """A line for each shop, the best first."""
    lines = [f"{shop:>3} {sold:>6}" for shop, sold in sorted(totals, key=lambda row: -row[1])]
    return "\n".join([f"Sales of {day}", *lines])


def archive(text: str, notes: str) -> str:
    """Put the report away."""
    file = Path(notes, "report.txt")
    file.write_text(text, "utf-8")
    return file.name


def tell(status: str, notes: str) -> str:
    """What somebody would be sent in the morning."""
    Path(notes, "told.txt").write_text(status, "utf-8")
    return f"the night was {status}"


def expected() -> dict[str, Any]:
    """The same, without a pipeline."""
    day = "2026-01-31"
    totals = []
    for shop in range(6):
        random = Random(f"{day} {shop}")
        totals.append((shop, sum(random.randint(1, 100) for _ in range(20))))
    return {"total": totals, "report": report(totals, day), "archive": "report.txt"}
