"""`python benchmarks/run.py --markdown docs/benchmarks.md`: our runner and its peers on every workload, in one table.

Figures are kept beside those of the same code, a round at a time: broken off, it goes on with what is missing.
`--only W1,G3` runs (and `--anew` runs again) some workloads; W1 stands for all whose names begin so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from time import monotonic

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

from harness import Terms, measure, rounds  # noqa: E402
from page import Kept, page  # noqa: E402
from workload import Workload, workloads  # noqa: E402

KEPT = ROOT / ".benchmarks"


def measured_code() -> str:
    """A name for the code that is measured, and for the code that measures: figures of another are not mixed in."""
    digest = hashlib.sha256()
    files = [
        file for room in ("pipeline_runner", "benchmarks") for file in (ROOT / room).rglob("*.*") if file.is_file()
    ]
    for file in sorted(files):
        if file.suffix in (".py", ".c", ".json") and file.name not in ("run.py", "page.py", "reckon.py"):
            name = str(file.relative_to(ROOT))
            digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def chosen(only: str, quick: bool) -> list[Workload]:
    """The workloads that are asked for; in a quick run one of each kind.

    Errors: SystemExit for a word that names none.
    """
    words = [word for word in only.split(",") if word]
    for word in words:
        if not any(_names(word, name) for name in workloads()):
            raise SystemExit(f"--only {word}: there are {', '.join(workloads())}")
    if not words:
        return [each for each in workloads().values() if each.when_quick or not quick]
    return [each for name, each in workloads().items() if any(_names(word, name) for word in words)]


def _names(word: str, name: str) -> bool:
    return name == word or name.startswith(f"{word}-")


def kept_of(workload: Workload, folder: Path) -> Kept:
    weights = folder / f"{workload.name}.weights"
    weighed = json.loads(weights.read_text().splitlines()[0]) if weights.exists() else {}
    return Kept(workload, rounds(folder / f"{workload.name}.jsonl"), weighed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="W1,G3", help="these workloads; default: all")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: to see that all of it runs")
    parser.add_argument("--peers", metavar="make,doit", help="only peers with these words in their names, or `none`")
    parser.add_argument("--times", type=int, help="so many rounds, at most; default: 5, with --quick 1")
    parser.add_argument("--allowance", type=float, default=5.0, metavar="S", help="seconds for a peer in a workload")
    parser.add_argument("--anew", action="store_true", help="forget what is kept of the workloads that are asked for")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page to this file")
    parser.add_argument("--page", action="store_true", help="measure nothing: only make the page of what is there")
    parser.add_argument("--kept", type=Path, default=KEPT, help="where figures are kept")
    asked = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # users' machines keep what was compiled, of us and of peers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a sample's processes are swept
    peers = None if asked.peers is None else frozenset(asked.peers.lower().split(",")) - {"none"}
    terms = Terms(asked.quick, peers, 4.0 if asked.quick else asked.allowance, asked.times)
    folder = asked.kept / f"{measured_code()}{'-quick' if asked.quick else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    which, began = chosen(asked.only, asked.quick), monotonic()
    for workload in () if asked.page else which:
        file = folder / f"{workload.name}.jsonl"
        if asked.anew:
            file.unlink(missing_ok=True)
            file.with_suffix(".weights").unlink(missing_ok=True)
        try:
            measure(workload, terms, file, lambda words: print(words, flush=True))
        except Exception as error:  # whatever goes wrong in one workload, the others are measured
            print(f"{workload.name}: {type(error).__name__}: {error}", flush=True)
    if not asked.page:
        print(f"{monotonic() - began:.0f} s; figures are in {os.path.relpath(folder)}")
    told = which if asked.markdown is None else chosen("", asked.quick)
    text = page(
        [kept_of(each, folder) for each in told],
        " ".join(["python benchmarks/run.py", *(word for word in sys.argv[1:] if word != "--page")]),
        asked.quick,
    )
    if asked.markdown:
        asked.markdown.write_text(text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
