"""A call finds the folder, the environment, the file mask and the signal handlers that the first call found."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(60)

HERE = str(Path(__file__).parent)
BACKENDS = ["multiprocessing", "multiprocess", "futures", "process", "pathos", "parallel", "ppft"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("chunk", [1, 5])
def test_calls_do_not_see_what_others_changed(run, backend, chunk):
    over = {"range": 10}
    ran = run({"disturb": {"call": "limit_deeds:disturb", "over": over, "chunk": chunk, "backend": backend}}, workers=1)
    found = ran["disturb"]
    assert found == [found[0]] * 10
    assert found[0][:3] == [HERE, None, True]


def test_what_compiled_code_changed_is_put_back_too(run):
    stage = {"call": "limit_deeds:disturb_below_python", "over": {"range": 6}, "chunk": 3}
    assert run({"disturb": stage}, workers=1)["disturb"] == [HERE] * 6


def test_what_the_setup_of_a_stage_changed_stays(run):
    stage = {"call": "limit_deeds:after_set_up", "over": {"range": 4}, "chunk": 2, "setup": "limit_deeds:set_up"}
    assert run({"after": stage}, workers=1)["after"] == [["/", "yes"]] * 4
