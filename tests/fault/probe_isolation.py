"""P15: a call finds its folder, environment, signal handlers and file mask as the first call of its stage found them.

Each call of each method with workers tells what it finds, then changes it. One worker makes all the calls, some of them
in one chunk, so that each has a neighbour that was there before. What is not promised (sys.path, decimal context,
locale, random state) is counted too.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from promise import Found, main

from pipeline_runner import Pipeline
from pipeline_runner.axes import Style
from pipeline_runner.backends import table

HERE = Path(__file__).parent
PROMISED = ("cwd", "environ", "signal handlers", "umask")
METHODS = [m for m in table() if table().owners[m.name].local and not table().owners[m.name].in_process]
CALLS = 6


def found_by(name: str) -> list[dict[str, Any]]:
    """What each call of a stage with this method finds."""
    method = table().methods[name]
    rows = method.style is Style.STAR and Style.MAP not in method.styles
    stage = {
        "call": "isolation_deeds:find_and_change",
        "over": [[item] for item in range(CALLS)] if rows else {"range": CALLS},
        "method": name,
        "chunk": 3,
        "workers": 1,
    }
    if name == "multiprocessing.Process":
        stage["returns"] = "list"
    text = json.dumps({"version": 1, "name": "isolation", "stages": {"work": stage}})
    return list(Pipeline.from_text(text, folder=HERE).run(workers=1, state=False)["work"])


def measure(size: int) -> Found:
    methods = [METHODS[at * len(METHODS) // size].name for at in range(size)]
    leaks: Counter[str] = Counter()
    wrong: list[str] = []
    rows = 0
    for method in methods:
        first, *others = found_by(method)
        for what in first:
            leaking = [other[what] for other in others if other[what] != first[what]]
            leaks[what] += bool(leaking)
            if what in PROMISED:
                rows += 1
                wrong += [f"{method}: a call found another {what}: {leaking[0]}"[:300]] if leaking else []
    figures: dict[str, int | float | str] = {
        "methods": len(methods),
        "rows of what is promised": rows,
        "rows held": rows - sum(leaks[what] for what in PROMISED),
    }
    figures |= {f"methods that put {what} back": len(methods) - leaks[what] for what in leaks}
    return Found(figures, wrong)


if __name__ == "__main__":
    raise SystemExit(main("P15", measure, size=len(METHODS), about=__doc__))
