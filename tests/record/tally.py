"""What a storm did and what it found: both are counted, and what is found does not end the storm."""

from __future__ import annotations

import json
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

BROKEN_OFF = "trials broken off"


@dataclass
class Tally:
    """The figures of one storm, or of one part of it: parts are added together."""

    trials: int = 0
    beyond: int = 0  # trials that could not be: there is no 100th step where there are 80
    did: Counter[str] = field(default_factory=Counter)
    never: Counter[str] = field(default_factory=Counter)  # what is promised never to be: from 0, by name
    most: dict[str, float] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)  # a line for each that never was to be

    @classmethod
    def of(cls, *never: str) -> Tally:
        return cls(never=Counter(dict.fromkeys([*never, BROKEN_OFF], 0)))

    @property
    def held(self) -> bool:
        """Whether it was tried, and nothing was found."""
        return self.trials > 0 and not any(self.never.values())

    def check(self, well: bool, what: str, *seen: object) -> bool:
        """Count it under `what` where it is not well."""
        if not well:
            self.found_out(what, 1, *seen)
        return well

    def found_out(self, what: str, times: int, *seen: object) -> None:
        if times:
            self.never[what] += times
            self.found.append(f"{what}: " + ", ".join(map(str, seen))[:2000])

    def at_most(self, what: str, value: float) -> None:
        self.most[what] = max(value, self.most.get(what, value))

    @contextmanager
    def trial(self, *which: object) -> Iterator[None]:
        """One trial: where it cannot be ended (a hang, an unforeseen answer), that is counted, and the next one comes."""
        try:
            yield
        except Exception:
            self.found_out(BROKEN_OFF, 1, *which, traceback.format_exc())

    def __add__(self, other: Tally) -> Tally:
        most = {
            what: max(self.most.get(what, value), other.most.get(what, value))
            for what, value in (self.most | other.most).items()
        }
        never = Counter(self.never)
        never.update(other.never)  # unlike `+`, this keeps what is 0
        return Tally(
            self.trials + other.trials,
            self.beyond + other.beyond,
            self.did + other.did,
            never,
            most,
            self.found + other.found,
        )

    def figures(self) -> dict[str, float]:
        """What was done, the greatest of what was measured, and how often there was what must never be."""
        most = {what: round(value, 3) for what, value in self.most.items()}
        return {**dict(sorted(self.did.items())), **most, **self.never}

    def dumps(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def loads(cls, text: str) -> Tally:
        parts = json.loads(text)
        return cls(**parts | {"did": Counter(parts["did"]), "never": Counter(parts["never"])})
