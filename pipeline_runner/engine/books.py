"""What a run knows and has written down: its courses, their results, and every event, in order.

The journal hears an event first and commits it; then the state's listeners hear it. Everybody who
decides something in the engine publishes it here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import count

from pipeline_runner.axes import Returns
from pipeline_runner.calls import Calls
from pipeline_runner.engine.course import Course
from pipeline_runner.engine.inputs import read_whole
from pipeline_runner.engine.lane import lanes
from pipeline_runner.engine.results import Results
from pipeline_runner.engine.veil import veiled
from pipeline_runner.events import DepsRead, Event
from pipeline_runner.plan.plan import EdgeKind, Plan
from pipeline_runner.record.deps import fixed, found, salt
from pipeline_runner.record.lineage import through
from pipeline_runner.record.record import Record
from pipeline_runner.spec.hidden import mask_of
from pipeline_runner.spec.pipeline import FromStage, StageName, StageSpec, Zip
from pipeline_runner.state import RunState
from pipeline_runner.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.engine.places import Taken

Listener = Callable[[Event], None]


class Books:
    """Owned by the engine's thread. `lock` is over feeds and results: where drivers and readers wait."""

    def __init__(
        self, plan: Plan, keep: Callable[[StageName], bool], listeners: Iterable[Listener], record: Record | None
    ) -> None:
        self.plan = plan
        self.state = RunState()
        self._mutex = threading.RLock()
        self.lock = self.apart()
        self.record = record
        self.mask = mask_of(plan.pipeline)
        self._keep = keep
        self._listeners = list(listeners)
        self._stirred = False  # whether there is news for those who wait under the lock
        self._untold: list[Event] = []  # written down, and not yet told to the listeners
        self._kept = {name: self._all_kept(name) for name in plan.stages}
        self.results = {
            name: Results(
                in_order=stage.choice.returns is not Returns.UNORDERED,
                keep=self.kept(name),
                lock=self.lock,
                read=bool(plan.readers(name)),
                stirred=self.stir,
            )
            for name, stage in plan.stages.items()
        }
        self.courses = [
            Course(
                number,
                chain,
                [plan.stages[name] for name in chain.stages],
                [self.results[name] for name in chain.stages],
            )
            for number, chain in enumerate(chain for group in plan.groups for chain in group.chains)
        ]
        self.lanes = lanes(plan, self.courses)
        self.lane_of = {number: lane for lane in self.lanes for number in lane.members}
        self.carriers: list[Course] = [*self.courses, *self.lanes]  # whatever has rounds of its own, by number
        for course in self.carriers:
            course.numbers = count(course.number, len(self.carriers))
        self.course_of = {name: course for course in self.courses for name in course.chain.stages}
        self.taken: Taken | None = None  # what calls write, where there are such
        self._unread = {name: len(plan.readers(name)) for name in plan.stages}

    # Events.

    def publish(self, event: Event) -> None:
        """Fold it in, write it down; it is told to the listeners when it is sure to be kept."""
        event = veiled(event, self.mask) if self.mask else event
        self.state.take(event)
        if self.record is not None:
            self.record.take(event)
        self._untold.append(event)

    def commit(self) -> None:
        if self.record is not None:
            self.record.commit()
        told, self._untold = self._untold, []
        for event in told:
            for listener in self._listeners:
                listener(event)
        if self._stirred:
            self._stirred = False
            self.moved()

    def stir(self) -> None:
        """Wake those who wait once, when the turn ends: a thousand stages would wake every driver twice each."""
        self._stirred = True

    def abandon(self) -> None:
        """Something broke: nobody is asked to hear or to write down the end."""
        self._listeners = []
        if self.record is not None:
            self.record.abandon()
            self.record = None

    def close(self) -> None:
        """The last events are told, and the journal is complete."""
        self.commit()
        if self.record is not None:
            self.record.close()

    # Courses and their results.

    def find(self, chunk: int) -> Course:
        """Whose chunk it is: numbers of different courses never meet, and each tells its course."""
        return self.carriers[chunk % len(self.carriers)]

    def kept(self, name: StageName) -> bool:
        """Whether all values of a stage are there at the end."""
        return self._kept[name]

    def _all_kept(self, name: StageName) -> bool:
        if self.plan.stages[name].choice.returns is Returns.NONE:
            return False
        return self._keep(name) or any(edge.kind is EdgeKind.BARRIER for edge in self.plan.readers(name))

    def wanted(self, name: StageName) -> bool:
        """Whether anyone but the next stage of its own chain reads a stage's values, now or in another run."""
        stage = self.plan.stages[name]
        if (
            self.kept(name)
            or self.results[name].followed
            or (stage.spec.cache and stage.choice.returns is not Returns.NONE)
        ):
            return True
        own = self.course_of[name]
        readers = (edge for edge in self.plan.readers(name) if edge.kind is not EdgeKind.ORDER)
        return any(self.course_of[edge.target] is not own for edge in readers)

    def drop(self, stage: StageName, index: int) -> None:
        """This call, and those that other stages would have made of its value, will not be."""
        todo = [stage]
        while todo:
            name = todo.pop()
            if self.results[name].dropped(index):
                continue
            self.results[name].drop(index)
            todo += [edge.target for edge in self.plan.readers(name) if self._goes_through(name, edge.target)]

    def _goes_through(self, source: StageName, target: StageName) -> bool:
        """Whether each call of the source makes one call of the target."""
        over = self.plan.stages[target].spec.over
        columns = over.columns if isinstance(over, Zip) else (over,)
        reads = any(isinstance(column, FromStage) and column.stage == source for column in columns)
        return reads and self.plan.stages[source].spec.over is not None

    def forget_read(self, ended: StageName) -> None:
        """Values that nobody will read any more need no memory."""
        for edge in self.plan.sources(ended):
            self._unread[edge.source] -= 1
            if not self._unread[edge.source] and not self._keep(edge.source):
                self.results[edge.source].forget()

    # What calls were given.

    def salt(self, stage: StageSpec) -> bytes:
        """What tells the whole results that each call of a stage may read from those of another time. The stages' names
        have no part in it."""
        named, needed = read_whole(stage)
        if not named and not needed:
            return b""
        lineages = [self.results[name].lineage() for name in named]
        return b"".join(lineages + sorted(self.results[name].lineage() for name in needed))

    def read(self, stage: StageSpec) -> bytes:
        """What tells the files that each call of a stage reads from those of another time. Errors: DepMissing."""
        if not stage.deps and (self.record is None or not self.record.resumes):
            return b""
        if self.record is None:
            for dep in fixed(stage):
                found(stage.name, self.plan.pipeline.folder_of(stage), dep)
            return b""
        told = self.record.deps(stage)
        for event in self.record.deps_changed(stage.name, told):
            self.publish(event)
        if told:
            self.publish(DepsRead(stage=stage.name, files=told))
        return salt(told)

    def digests(self, course: Course, calls: Calls, step: int) -> bytes | None:
        """The digests of a chain's calls at one of its steps."""
        return through(calls.indices, calls.digests, course.salts[1 : step + 1])

    def apart(self) -> threading.Condition:
        """The same lock, for those who are woken by themselves."""
        return threading.Condition(self._mutex)

    def moved(self) -> None:
        """A reader has drawn: whoever waits for room looks again."""
        with self.lock:
            self.lock.notify_all()
