"""Whether the keys of a pipeline, a stage or a profile are right by themselves, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from pipeline_runner.errors import Problem
from pipeline_runner.spec.ordinary import Unsure, ordinary
from pipeline_runner.syntax.reader import Node
from pipeline_runner.typed import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Kind = Literal["Pipeline", "Stage", "Profile"]


def checked(kind: Kind, values: Mapping[Any, Any]) -> tuple[Any | None, list[ErrorDetails]]:
    """The keys as the model of that name has them; or None, and what pydantic has against them."""
    with suppress(Unsure):
        return ordinary(kind, values), []
    from pydantic import ValidationError

    from pipeline_runner.spec import models

    try:
        return getattr(models, kind).model_validate(values), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def told(detail: ErrorDetails, root: Node) -> Problem:
    """What is wrong, at its place below `root`."""
    from pipeline_runner.spec.translate import translate

    return translate(detail, root)
