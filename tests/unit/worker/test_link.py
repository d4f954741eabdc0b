"""Links are of the process that made them."""

import os

from pipeline_runner import Pipeline, Stage


def test_a_runner_that_was_forked_after_its_parents_import_runs_calls_in_itself():
    pid = os.fork()
    if not pid:
        code = 1
        try:
            result = Pipeline("forked", [Stage("one", call=abs, over=[-1, -2], backend="serial")]).run()
            code = 0 if result["one"] == [1, 2] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
