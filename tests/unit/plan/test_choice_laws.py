"""Laws of choosing, on the whole table as it is installed: nothing is opened."""

from __future__ import annotations

from itertools import product

import pytest

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends import table
from pipeline_runner.errors import Problems
from pipeline_runner.plan.choose import Inflow, choose
from pipeline_runner.plan.problems import NoMethod
from pipeline_runner.spec.pipeline import Range

SOURCES = [None, [1, 2], [[1, 2]], Range(0, 3), ([1], [2]), "other"]


@pytest.mark.parametrize("backend", [None, *table().keywords])
def test_every_combination_gets_a_method_that_is_what_it_says_or_a_problem_that_helps(write, backend):
    for dispatch, style, returns, over in product((None, *Dispatch), (None, *Style), (None, *Returns), SOURCES):
        keys = {"dispatch": dispatch, "style": style, "returns": returns, "backend": backend, "over": over}
        stage = write({"work": keys}).stages["work"]
        try:
            choice = choose(stage, table())
        except Problems as found:
            for problem in found.problems:
                assert problem.sentence()
                assert not isinstance(problem, NoMethod) or all(near.changes for near in problem.nearest)
            continue
        assert dispatch in (None, choice.method.dispatch)
        assert style in (None, choice.style)
        assert choice.style in choice.method.styles or (style is None and choice.style is Style.MAP)
        assert returns in (None, choice.returns)
        assert choice.returns in choice.method.offers
        assert backend in (None, choice.backend.keyword)
        assert not choice.backend.in_process or backend or dispatch is Dispatch.BLOCKING


def test_what_an_item_means_depends_neither_on_backend_nor_on_dispatch_nor_on_returns(write):
    for backend, dispatch, returns in product([None, *table().keywords], (None, *Dispatch), (None, *Returns)):
        keys = {"over": [[1, 2]], "backend": backend, "dispatch": dispatch, "returns": returns}
        try:
            choice = choose(write({"work": keys}).stages["work"], table())
        except Problems:
            continue
        assert choice.style is Style.MAP


@pytest.mark.parametrize("method", list(table()), ids=lambda method: method.name)
def test_every_method_can_be_had_by_its_own_axes_and_by_every_name(write, method):
    over = {Style.SINGLE: None, Style.MAP: [1], Style.STAR: [[1]], Style.ZIP: ([1], [2])}[method.style]
    axes = {"dispatch": method.dispatch, "style": method.style, "returns": method.returns, "over": over}
    for name in (method.name, *method.aliases):
        stage = write({"work": {"method": name} | axes}).stages["work"]
        choice = choose(stage, table())
        assert (choice.method, choice.style, choice.returns) == (method, method.style, method.returns)


@pytest.mark.parametrize("method", list(table()), ids=lambda method: method.name)
def test_every_eager_method_refuses_a_written_stream_and_every_lazy_one_takes_it(write, method):
    over = ("other", [1]) if method.style is Style.ZIP else "other"
    stage = write({"work": {"method": method.name, "over": over}}).stages["work"]
    if method.lazy:
        assert choose(stage, table(), [Inflow("other", written=True)]).method is method
        return
    with pytest.raises(Problems) as refused:
        choose(stage, table(), [Inflow("other", written=True)])
    (problem,) = refused.value.problems
    assert problem.code == "stream-into-eager"
    assert all(table().find(name).lazy for name in problem.lazy)
