"""`python tests/promises.py --markdown docs/reliability.md`: every promise of reliability, measured, in one table.

It runs each part as a command of its own, one after the other, since many of them are timed, and keeps the figures of
a part beside those of others from the same code. Broken off, it goes on with what is missing; `--only P4,P14` measures
these anew; nothing in the page is written by hand but the words of the promises.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "fault")]

from fault_page import grid  # noqa: E402

KEPT = ROOT / ".promises"
Figures = Mapping[str, Mapping[str, Any]]  # by promise


@dataclass(frozen=True)
class Part:
    """A command that measures some of the promises."""

    name: str
    promises: tuple[str, ...]
    words: tuple[str, ...]
    limit_s: float  # it is broken off then: the whole should take less than an hour


PARTS = (
    Part("faults", ("P1", "P2", "P3"), ("tests/fault/sweep.py",), 2400),
    Part("ends", ("P4",), ("tests/fault/probe_ends.py",), 1800),
    Part("store", ("P5", "P6", "P7", "P8", "P9", "P12", "P17", "P18"), ("tests/record/sweep.py",), 5400),
    Part("refusals", ("P11",), ("tests/fault/probe_refusals.py",), 900),
    Part("stream", ("P13",), ("tests/fault/probe_stream.py",), 600),
    Part("lines", ("P14",), ("tests/fault/probe_lines.py",), 900),
    Part("isolation", ("P15",), ("tests/fault/probe_isolation.py",), 600),
)

PROMISED = {
    "P1": ("32 faults of a task: only the bad item fails, all others complete", "32 of 32 for every method"),
    "P2": ("a failure's text names stage, item, argument, signal, tries, last lines", "every text"),
    "P3": ("a timeout ends the item's whole tree", "0 survivors of 20, within 1 s after the timeout"),
    "P4": (
        "Ctrl-C, SIGTERM, SIGHUP, SIGKILL leave nothing, from wherever it was started",
        "within 1 s, after SIGKILL 2 s; exit 130, 143, 129; the last line says how to go on",
    ),
    "P5": ("SIGKILL at 100 random moments, then `--resume`", "0 finished items lost, 0 half-written outputs"),
    "P6": ("each write, fsync or rename fails, or the process dies there", "all points, nothing lost"),
    "P7": ("the store damaged in 500 ways", "0 wrong values; the second run makes nothing"),
    "P8": ("a second runner on the same pipeline", "refused within 1 s, by pid and start; the dead are taken over"),
    "P9": ("any history of kills, edits and resumes", "200 histories, 0 different results"),
    "P11": ("bad inputs are refused in words, with the right exit code", "at least 60, no traceback"),
    "P12": ("full disk, read-only folder, few descriptors, missing package", "4 of 4: one line, and going on after it"),
    "P13": (
        "a stream is read ahead only so far, in flat memory",
        "at most 4 × workers chunks; under 5 MiB over 1,000,000 items",
    ),
    "P14": ("captured output is whole lines of its item; a flood slows nobody", "0 torn of 480,000"),
    "P15": ("calls do not see each other's cwd, environ, signal handlers, umask", "4 rows, every method"),
    "P17": ("a clock jump of a day", "0 timeouts or decisions changed"),
    "P18": ("`--chaos` lets users test their own pipelines", "0 different results"),
}

HEAD = """\
# How dependable it is, measured

Every promise of reliability with its figures, counted and timed by one command:

    python tests/promises.py --markdown docs/reliability.md

It takes about an hour on two cores that have nothing else to do. Its parts run one after the other; `--only P4,P14`
measures some of them anew. Smaller sizes of all of them are tests of every day.
"""


def measured_code() -> str:
    """A name for the code that is measured, and for the code that measures: figures of another are not mixed in."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "pipeline_runner", "tests"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256()
    for name in sorted(filter(None, listed.split("\0"))):
        if (ROOT / name).is_file():
            digest.update(name.encode() + b"\0" + hashlib.sha256((ROOT / name).read_bytes()).digest())
    return digest.hexdigest()[:16]


def run(part: Part, folder: Path) -> None:
    """Measure one part; its figures are in the folder then."""
    file = folder / f"{part.name}.json"
    file.unlink(missing_ok=True)  # figures of a run that breaks off are not those of the one before
    began = monotonic()
    print(f"{part.name}: {', '.join(part.promises)} …", flush=True)
    words = [sys.executable, *part.words, "--json", str(file)]
    process = subprocess.Popen(words, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, process_group=0)
    try:
        code = process.wait(part.limit_s)
        print(f"{part.name}: exit {code}, {monotonic() - began:.0f} s", flush=True)
    except subprocess.TimeoutExpired:
        print(f"{part.name}: broken off after {part.limit_s:.0f} s", flush=True)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def known(folder: Path) -> dict[str, Any]:
    """All figures that are there, by promise; the cells of the faults under "cells"."""
    found: dict[str, Any] = {}
    for part in PARTS:
        file = folder / f"{part.name}.json"
        if file.exists():
            found |= json.loads(file.read_text())
    return found


def page(found: Mapping[str, Any]) -> str:
    """Markdown: what it ran on, the table of promises, and what lies behind it."""
    parts = [HEAD, _where(found), _table(found), _open(found)]
    if "cells" in found:
        parts += [grid(found["cells"])]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _where(found: Mapping[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("pathos", "ppft", "multiprocess", "dill"))
    seconds = sum(found[number]["seconds"] for number in PROMISED if number in found)
    words = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    held = sum(bool(found[p]["held"]) for p in PROMISED if p in found)
    return (
        f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} CPUs, {libraries}; "
        f"commit {commit.stdout.strip()}; {seconds:.0f} s. {held} of {len(PROMISED)} promises are held.\n"
    )


def _table(found: Mapping[str, Any]) -> str:
    lines = ["| # | promise | promised | measured | size | s | held |", "| --- | --- | --- | --- | ---: | ---: | :-: |"]
    for number, (words, figure) in PROMISED.items():
        told = found.get(number)
        if told is None:
            lines.append(f"| {number} | {words} | {figure} | not measured | | | |")
            continue
        held = "yes" if told["held"] else "**no**"
        lines.append(
            f"| {number} | {words} | {figure} | {_figures(told['figures'])} | {_plain(told['size'])} "
            f"| {told['seconds']:.0f} | {held} |"
        )
    return "\n".join(lines) + "\n"


def _figures(figures: Mapping[str, Any] | str) -> str:
    if isinstance(figures, str):
        return _plain(figures)
    return "; ".join(f"{what}: {_plain(figure)}" for what, figure in figures.items())


def _plain(figure: object) -> str:
    if isinstance(figure, Mapping):
        return ", ".join(f"{what} {_plain(each)}" for what, each in figure.items())
    return f"{figure:,}" if isinstance(figure, int) else str(figure).replace("|", "\\|").replace("\n", " ")


def _open(found: Mapping[str, Any]) -> str:
    lines = list(_wrong(found))
    return "\n".join(["## Not held\n", *lines, ""]) if lines else ""


def _wrong(found: Mapping[str, Any]) -> Iterator[str]:
    for number in PROMISED:
        told = found.get(number, {})
        for sentence in (*told.get("wrong", ()), *told.get("found", ())):
            yield f"- {number}: {' '.join(str(sentence).split())[:240]}"


def chosen(only: Sequence[str], folder: Path) -> list[Part]:
    """The parts to be run: those that are asked for; without any, those whose figures are missing."""
    if only:
        return [part for part in PARTS if part.name in only or set(only) & set(part.promises)]
    return [part for part in PARTS if not set(part.promises) <= set(known(folder))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="promises or parts to measure anew, for example P4,P14 or store")
    parser.add_argument("--markdown", type=Path, help="write the page to this file")
    parser.add_argument("--page", action="store_true", help="measure nothing: only make the page of what is there")
    asked = parser.parse_args()
    only = [word for word in asked.only.split(",") if word]
    names = {part.name for part in PARTS}.union(*(part.promises for part in PARTS))
    if unknown := [word for word in only if word not in names]:
        parser.error(
            f"--only {','.join(unknown)}: there are {', '.join(PROMISED)}, and {', '.join(p.name for p in PARTS)}"
        )
    folder = KEPT / measured_code()
    folder.mkdir(parents=True, exist_ok=True)
    for part in () if asked.page else chosen(only, folder):
        run(part, folder)
    found = known(folder)
    text = page(found)
    print(text)
    if asked.markdown:
        asked.markdown.write_text(text)
    return int(not all(found.get(number, {}).get("held") for number in PROMISED))


if __name__ == "__main__":
    raise SystemExit(main())
