"""`python tests/record/sweep.py [--json FILE] [--markdown FILE]`: every storm over the run store at its full size.

Every figure is counted from what was found, and a storm that finds something goes on; the sweep then exits 1.

    NAME…          only these storms (kills, histories=20, failpoints=40:60); all at their promised size without
    --jobs N       parts of storms side by side (3); what is timed runs alone, at the end
    --seed N       each part has its own seed, printed: this one and the number of its first trial (1)
    --json FILE    the figures, for another page:

        {"P5": {"figures": {"kills of tree": 31, "most run again after one kill": 5, "finished items lost": 0, …},
                "size": 100,        trials that were carried out
                "promised": 100,    trials that a whole sweep asks for, without those beyond the last step that there was
                "seconds": 210.4,   of work, summed over what ran side by side
                "held": true,       there were trials, nothing was found that must never be, and no part broke off
                "found": []},       a line for each that was found, with the part and seed that show it again
         "P6": …, "P7": …, "P8": …, "P9": …, "P12": …, "P17": …, "P18": …}

    --markdown FILE  the table
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import histories  # noqa: E402
import storm_damage  # noqa: E402
import storm_kills  # noqa: E402
import storm_system  # noqa: E402
import storm_writes  # noqa: E402
import storms  # noqa: E402
from tally import BROKEN_OFF, Tally  # noqa: E402

DEADLINE_S = 1200  # of a part


@dataclass(frozen=True)
class Storm:
    """A row of the table. `do` is given the numbers of its trials and a seed."""

    name: str
    promise: str
    do: Callable[[range, int], Tally]
    size: int
    a_part: int  # trials that run one after the other, in one process
    alone: bool = False  # it is timed

    @property
    def words(self) -> str:
        return " ".join((self.do.__doc__ or "").split()).partition(": ")[2].rstrip(".")


STORMS = (  # the longest first, so that the last parts to end are short
    Storm("histories", "P9", histories.histories, 200, 10),
    Storm("failpoints", "P6", storm_writes.failpoints, storm_writes.FAILPOINTS, 40),
    Storm("writes", "P6", storm_system.writes, storm_system.WRITES, 50),
    Storm("corruptions", "P7", storm_damage.corruptions, 500, 50),
    Storm("kills", "P5", storm_kills.kills, 100, 10),
    Storm("chaos", "P18", storms.chaos, 20, 5),
    Storm("full_disks", "P6", storm_writes.full_disks, 20, 10),
    Storm("page_limits", "P6", storm_writes.page_limits, 12, 12),
    Storm("clocks", "P17", storms.clocks, 20, 10),
    Storm("needs", "P12", storms.needs, 4, 4),
    Storm("second_runners", "P8", storms.second_runners, 10, 10, alone=True),
)


@dataclass(frozen=True)
class Part:
    """Some trials of a storm, one after the other in a process of their own."""

    storm: Storm
    trials: range
    seed: int

    def __str__(self) -> str:
        return f"{self.storm.name}={self.trials.start}:{self.trials.stop} (seed {self.seed})"

    def run(self) -> tuple[Tally, float]:
        """Its tally and how many seconds it took. A part that hangs or dies is a finding, too."""
        began = time.monotonic()
        words = [self.storm.name, str(self.trials.start), str(self.trials.stop), str(self.seed)]
        command = [sys.executable, __file__, "--part", *words]
        try:
            told = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S, check=False).stdout
            tally = Tally.loads(told.splitlines()[-1])
        except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
            tally = Tally.of()
            tally.found_out(BROKEN_OFF, 1, "the whole part", repr(error))
        tally.found = [f"{self}: {line}" for line in tally.found]
        return tally, time.monotonic() - began


@dataclass
class Sum:
    """What came of the parts of one storm, or of the storms of one promise."""

    tally: Tally = field(default_factory=Tally)
    promised: int = 0
    seconds: float = 0.0


def parts(storm: Storm, trials: range, seed: int) -> list[Part]:
    firsts = trials[:: storm.a_part]
    return [Part(storm, range(at, min(at + storm.a_part, trials.stop)), seed + at) for at in firsts]


def chosen(words: Sequence[str]) -> Iterable[tuple[Storm, range]]:
    """The storms that were asked for, each with its trials: `kills`, `kills=20`, `kills=20:30`; all, without any."""
    asked = {name: trials for name, _, trials in (word.partition("=") for word in words)}
    unknown = asked.keys() - {storm.name for storm in STORMS}
    if unknown:
        raise SystemExit(f"no such storm: {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in STORMS)}")
    for storm in STORMS:
        if not asked or storm.name in asked:
            first, _, last = asked.get(storm.name, "").rpartition(":")
            yield storm, range(int(first or 0), int(last or storm.size))


def sweep(wanted: Iterable[tuple[Storm, range]], jobs: int, seed: int) -> Iterator[dict[str, Sum]]:
    """Run it all, and tell each part as it ends. Gives the sums by storm so far."""
    every = [part for storm, trials in wanted for part in parts(storm, trials, seed)]
    sums = {part.storm.name: Sum(promised=part.storm.size) for part in every}
    for together, at_once in (
        ([p for p in every if not p.storm.alone], jobs),
        ([p for p in every if p.storm.alone], 1),
    ):
        with ThreadPoolExecutor(at_once) as pool:
            running = {pool.submit(part.run): part for part in together}
            for done in as_completed(running):
                tally, seconds = done.result()
                whole = sums[running[done].storm.name]
                whole.tally, whole.seconds = whole.tally + tally, whole.seconds + seconds
                told = "; ".join(tally.found) or "nothing was found"
                print(f"{running[done]}: {tally.trials} trials in {seconds:.0f} s: {told}", file=sys.stderr, flush=True)
                yield sums


def by_promise(sums: Mapping[str, Sum]) -> dict[str, dict[str, object]]:
    """The JSON file."""
    together: dict[str, Sum] = {}
    for storm in STORMS:
        if one := sums.get(storm.name):
            before = together.setdefault(storm.promise, Sum())
            before.tally += one.tally
            before.promised += one.promised
            before.seconds += one.seconds
    return {
        promise: {
            "figures": one.tally.figures(),
            "size": one.tally.trials,
            "promised": one.promised - one.tally.beyond,
            "seconds": round(one.seconds, 1),
            "held": one.tally.held,
            "found": one.tally.found,
        }
        for promise, one in sorted(together.items(), key=lambda pair: int(pair[0][1:]))
    }


HEAD = """# How the run store is held

Written by `{command}` in {minutes:.0f} minutes, {jobs} parts side by side. Every figure is counted from what was
found; the same storms run smaller in CI (`tests/record/test_storms.py`).

| promise | storm | trials | figures | s of work |
| --- | --- | --- | --- | --- |
"""


def table(sums: Mapping[str, Sum]) -> str:
    lines = []
    for storm in sorted(STORMS, key=lambda storm: int(storm.promise[1:])):
        if one := sums.get(storm.name):
            figures = ", ".join(f"{what}: {figure}" for what, figure in one.tally.figures().items())
            lines.append(f"| {storm.promise} | {storm.words} | {one.tally.trials} | {figures} | {one.seconds:.0f} |\n")
    return "".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("storms", nargs="*", metavar="NAME[=SIZE]")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    began = time.monotonic()
    sums: Mapping[str, Sum] = {}
    for sums in sweep(list(chosen(asked.storms)), asked.jobs, asked.seed):
        if asked.json:  # after each part: whatever ends the sweep early, what was found is there
            asked.json.write_text(json.dumps(by_promise(sums), indent=2, ensure_ascii=False) + "\n")
    rows = table(sums)
    print(rows, end="")
    if asked.markdown:
        command = f"python {' '.join(['tests/record/sweep.py', *sys.argv[1:]])}"
        minutes = (time.monotonic() - began) / 60
        asked.markdown.write_text(HEAD.format(command=command, minutes=minutes, jobs=asked.jobs) + rows)
    return 0 if all(one.tally.held for one in sums.values()) else 1


def one_part(name: str, first: str, stop: str, seed: str) -> None:
    (storm,) = (storm for storm in STORMS if storm.name == name)
    print(storm.do(range(int(first), int(stop)), int(seed)).dumps())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        one_part(*sys.argv[2:])
    else:
        sys.exit(main())
