"""A web server's log, made up line by line, and the steps that find what is wrong in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from random import Random
from typing import NamedTuple

PATHS = ("/", "/search", "/cart", "/pay", "/help")


class Record(NamedTuple):
    """One request."""

    hour: int
    path: str
    status: int
    took_ms: int


def hours(seed: int, lines: int) -> Iterator[list[str]]:
    """The log, an hour at a time, for ever. Every fifth hour the payment service has a bad time."""
    for hour in count():
        chance = Random(f"{seed} {hour}")
        yield [line(chance, hour) for _ in range(lines)]


def line(chance: Random, hour: int) -> str:
    path = PATHS[chance.randrange(len(PATHS))]
    bad = path == "/pay" and hour % 5 == 4
    status = 503 if chance.randrange(100) < (30 if bad else 1) else 200
    return f"{hour:05} GET {path} {status} {chance.randrange(20, 1000)}ms"


def parse(lines: Sequence[str]) -> list[Record]:
    """The records of an hour's lines."""
    return [
        Record(int(hour), path, int(status), int(took.removesuffix("ms")))
        for hour, _, path, status, took in (text.split() for text in lines)
    ]


def notable(records: Sequence[Record], slow_ms: int) -> list[Record]:
    """The records that someone should look at."""
    return [record for record in records if record.status >= 500 or record.took_ms >= slow_ms]


def summary(records: Sequence[Record]) -> dict[str, object]:
    """An hour in a few numbers."""
    errors = Counter(record.path for record in records if record.status >= 500)
    worst = max(errors, key=lambda path: (errors[path], path), default="")
    return {
        "hour": min((record.hour for record in records), default=-1),
        "slow": sum(record.status < 500 for record in records),
        "errors": errors.total(),
        "worst": worst,
    }


def report(hours: Sequence[dict[str, object]]) -> dict[str, object]:
    """The whole log: totals, and the hours with the most errors in the order in which they came."""
    errors = {hour["hour"]: hour["errors"] for hour in hours}
    limit = 3 * sorted(errors.values())[len(errors) // 2]  # three times the median
    return {
        "hours": len(hours),
        "slow": sum(hour["slow"] for hour in hours),
        "errors": sum(errors.values()),
        "bad_hours": [hour for hour, number in errors.items() if number > limit],
        "worst": Counter(hour["worst"] for hour in hours).most_common(1)[0][0],
    }
