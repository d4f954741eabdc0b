"""What a probe has found out about one promise, and the command line that all probes have.

A probe is a file of its own: `python tests/fault/probe_NAME.py` measures at the full size and prints its figures;
`--size N` measures less, `--json FILE` keeps the figures for the page (tests/promises.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


@dataclass(frozen=True)
class Found:
    """Figures that were counted or timed, and what is not as promised: nothing, when the promise is held."""

    figures: Mapping[str, int | float | str]
    wrong: list[str] = field(default_factory=list)  # a sentence each


def kept(found: Found, *, size: int, seconds: float) -> dict[str, Any]:
    """As it stands in a part's JSON, under the promise's name."""
    about = {"figures": dict(found.figures), "size": size, "seconds": round(seconds, 1), "held": not found.wrong}
    return about | ({"wrong": found.wrong} if found.wrong else {})


def main(promise: str, measure: Callable[[int], Found], *, size: int, about: str | None) -> int:
    """A probe as a command. Gives its exit code: 0 when the promise is held."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--size", type=int, default=size, help=f"how much is measured; all of it is {size}")
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    asked = parser.parse_args()
    began = monotonic()
    found = measure(asked.size)
    told = kept(found, size=asked.size, seconds=monotonic() - began)
    print(f"{promise}, {'held' if told['held'] else 'NOT HELD'}, size {asked.size}, {told['seconds']} s")
    print("".join(f"  {what}: {figure}\n" for what, figure in found.figures.items()), end="")
    print("".join(f"  wrong: {sentence}\n" for sentence in found.wrong), end="", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({promise: told}, indent=1))
    return int(bool(found.wrong))
