"""`sample.py WORKLOAD WAY FILE`: one sample, in this process and its children; its figures are in FILE then."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from workload import NotThere, workloads


def main() -> int:
    name, way_name, file = sys.argv[1:]
    workload = workloads()[name]
    way = next(way for way in workload.ways if way.name == way_name)
    try:
        told = {"figures": way.do(workload.size(bool(os.environ.get("BENCH_QUICK"))))}
    except NotThere as why:
        told = {"absent": str(why)}
    except Exception as error:  # a library of others may raise anything; the table tells it
        told = {"failed": f"{type(error).__name__}: {error}".strip()[:300]}
    Path(file).write_text(json.dumps(told))
    sys.stdout.flush()
    os._exit(0)  # whatever the library has left, its threads and its hooks at exit, is swept by who began us


if __name__ == "__main__":
    raise SystemExit(main())
