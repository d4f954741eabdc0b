"""Events without secrets: what is told to anyone, and written down, has gone through here."""

from __future__ import annotations

from pipeline_runner.classes import replace
from pipeline_runner.events import CallFailed, CallRetried, CallsOutdated, DepsRead, Event, PoolReplaced, Printed
from pipeline_runner.masks import Mask


def veiled(event: Event, mask: Mask) -> Event:
    """The event, with `***` for each secret in its free text. Names stay: what follows is decided by them."""
    match event:
        case Printed(line=line):
            return replace(event, line=mask.text(line))
        case CallRetried(failure=failure):
            return replace(event, failure=mask.whole(failure))
        case CallFailed(failure=failure, argument=argument, said=said):
            told = mask.whole(failure)
            return replace(event, failure=told, argument=mask.text(argument), said=mask.whole(said))
        case DepsRead(files=files):
            return replace(event, files=mask.whole(files))
        case CallsOutdated(why=why):
            return replace(event, why=mask.whole(why))
        case PoolReplaced(why=why):
            return replace(event, why=mask.text(why))
    return event
