"""A pipeline without YAML: its stages are lambdas and closures, as they come up in a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable

from pipeline_runner import Pipeline, Stage


def times(factor: int) -> Callable[[int], int]:
    """A function that remembers its factor: a closure, which pickle cannot send but dill can."""
    return lambda number: number * factor


def main() -> None:
    pipeline = Pipeline(
        "squares",
        [
            Stage("square", call=lambda number: number * number, over=range(10), returns="iterator"),
            Stage("triple", call=times(3), over="${stages.square}", returns="iterator"),
            Stage(
                "total",
                call=lambda numbers, start: start + sum(numbers),
                with_={"numbers": "${stages.triple}", "start": 1000},
            ),
        ],
    )
    result = pipeline.run(workers=2)
    print(json.dumps({"status": result.status, "triple": result["triple"], "total": result["total"]}))

    with pipeline.start(workers=2) as run:  # returns at once: the values are read as they come
        first = [value for value, _ in zip(run["triple"], range(3), strict=False)]
    print(json.dumps({"first": first}))


if __name__ == "__main__":
    main()
