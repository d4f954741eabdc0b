"""Tokens that calls hold while they run: whether there are such, and how many calls may then run at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline_runner.errors import Problem
from pipeline_runner.plan.problems import TooManyTokens, UnknownToken
from pipeline_runner.spec.pipeline import StageSpec


def wrong(stage: StageSpec, tokens: Mapping[str, int]) -> Iterator[Problem]:
    """What is wrong with the tokens that a stage asks for."""
    for name, asked in stage.limits.items():
        if name not in tokens:
            yield UnknownToken(mark=stage.mark("limits"), stage=stage.name, token=name, known=tuple(tokens))
        elif asked > tokens[name]:
            yield TooManyTokens(
                mark=stage.mark("limits"), stage=stage.name, token=name, asked=asked, there_are=tokens[name]
            )


def most_at_once(stage: StageSpec, tokens: Mapping[str, int]) -> int | None:
    """How many calls of a stage can hold their tokens at one time; None: it asks for none."""
    return min((tokens.get(name, asked) // asked for name, asked in stage.limits.items()), default=None)
