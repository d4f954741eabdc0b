"""All that a run needs of its state folder: the journal that it writes, and what an earlier try of it has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from pipeline_runner.buffers import Buffers
from pipeline_runner.calls import Calls, Pack
from pipeline_runner.events import CallsOutdated, Event, JournalMended, JournalTaken, StageRenamed
from pipeline_runner.plan.plan import Plan
from pipeline_runner.record.ahead import Ahead
from pipeline_runner.record.deps import Read, fixed, read, salt
from pipeline_runner.record.errors import usable
from pipeline_runner.record.files import Files
from pipeline_runner.record.journal import Journal
from pipeline_runner.record.locks import Lock
from pipeline_runner.record.looking import Looking
from pipeline_runner.record.reading import Reading
from pipeline_runner.record.recipe import Recipe
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.record.store import Store
from pipeline_runner.record.times import Work, recorded_times
from pipeline_runner.spec.hidden import mask_of
from pipeline_runner.spec.pipeline import Source, StageName, StageSpec
from pipeline_runner.typed import TYPE_CHECKING, Any
from pipeline_runner.worker.perform import pack_payload

# What speaks of earlier runs is imported by those who look at them.
if TYPE_CHECKING:
    from pipeline_runner.record.earlier import Earlier
    from pipeline_runner.record.outs import Standing
    from pipeline_runner.record.renamed import Renamed


class Record:
    """One run's side of a store. Holds the pipeline's lock until it is closed.

    `recipes` are the plan's, where they are known already.
    Errors: Locked when another runner is at the pipeline; StoreError when the folder cannot be used.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        plan: Plan,
        *,
        looking: Looking,
        about: Mapping[str, Any],
        recipes: Mapping[StageName, Recipe] | None = None,
    ) -> None:
        self.store = store
        self.run = run
        self._plan = plan
        self._specs = {name: stage.spec for name, stage in plan.with_hooks().stages.items()}
        self._mask = mask_of(plan.pipeline)
        self.resumes = resume = looking.resume
        self._looking = looking
        self.files = Files(store)
        self._lock: Lock = store.lock(identity(plan), run)
        try:
            self._recipes = made(plan, run) if recipes is None else recipes
            self._keys = {name: recipe.key for name, recipe in self._recipes.items()}
            self._renamed: list[Renamed] = []
            if resume:
                before = (about_run(store, run) or {}).get("recipes", {})
                from pipeline_runner.record.renamed import follow_names

                self._renamed = follow_names(store, run, self._keys, list(before))
            self._journal = Journal(store, run, about, self._recipes)
        except BaseException:
            self._lock.release()
            raise
        self._reading = Reading(store)
        cached = {name: key for name, key in self._keys.items() if key is not None and looking.anybodys(plan, name)}
        self._ahead = Ahead(self._reading, self.files, run, plan, cached)

    def take(self, event: Event) -> None:
        self._journal.take(event)

    def keep(
        self,
        stage: StageName,
        indices: Sequence[int],
        digests: bytes | None,
        data: bytes | None,
        large: Buffers | None = None,
    ) -> None:
        """Keep what calls gave; not where a secret is in it, so that those calls are made again by who resumes."""
        if self._mask and self._secret_in(data, large):
            return
        self._journal.keep(stage, indices, digests, data, large)

    def _secret_in(self, data: bytes | None, large: Buffers | None) -> bool:
        pieces = [data or b"", *(() if large is None else map(bytes, large.views()))]
        return any(map(self._mask.held, pieces))

    def given(self, stage: StageName, index: int, calls: Calls) -> None:
        """Keep what a failed call was given, if it can be kept: the failure itself is what matters more."""
        try:
            payload = pack_payload(calls.in_one())
        except Exception:  # an argument that cannot be pickled: perhaps the very reason of the failure
            return
        if self._mask.held(payload):
            return
        self._journal.given(stage, index, payload)

    def adopt(self, stage: StageName, numbers: range, digests: bytes | None, values: Pack | None) -> None:
        """Keep calls that another run has made."""
        self._journal.adopt(stage, numbers, digests, values)

    def wrote(self, stage: StageName, index: int, digest: bytes | None, files: Sequence[tuple[str, str]]) -> None:
        """Keep what a call has written: (path, digest of what is in it)."""
        recipe = self._keys.get(stage)  # hooks have none
        if recipe is not None:
            from pipeline_runner.record.outs import out_key, rows

            key = out_key(self.store, self._folder(stage), recipe, index, digest)
            for row in rows(self.store, recipe, key, files):
                self._journal.wrote(row)

    def commit(self) -> None:
        fresh = self.files.fresh()
        if self._mask:
            fresh = [row for row in fresh if not self._mask.held(os.fsencode(row[0]))]  # a secret in a path
        self._journal.remember(fresh)
        self._journal.commit()
        self._ahead.forget()

    def earlier(self, stage: StageName, *, wanted: bool) -> Earlier | Standing | None:
        """What there is of a stage from before, under the recipe that the stage has now."""
        if stage in self._plan.hooks:
            return None  # it follows every try of a run
        if not self._looking.at_all(self._plan, stage):
            return None
        known, key = self._ahead.of(stage), self._keys[stage]
        earlier = self._looking.up(self._reading, self.run, self._plan, stage, key, self.files, wanted, known)
        return earlier or None

    def times(self) -> dict[StageName, Work]:
        """The work of each stage that an earlier run, or try of this one, has brought to its end."""
        return recorded_times(self.store, identity(self._plan), set(self._specs))

    def why_unknown(self, stage: StageName) -> str:
        """Why nothing of a stage can be known again; nothing where it can."""
        return "" if stage in self._plan.hooks else self._recipes[stage].unknown

    def _folder(self, stage: StageName) -> Path:
        return self._plan.pipeline.folder_of(self._specs[stage])

    def deps(self, stage: StageSpec) -> Read:
        """What is in the files that each call of a stage reads, now that it begins. Errors: DepMissing."""
        return read(stage.name, self._folder(stage.name), fixed(stage), self.files)

    def deps_of_call(self, stage: StageName, deps: Sequence[str]) -> bytes:
        """8 bytes that stand for the files that one call reads. Errors: DepMissing."""
        return salt(read(stage, self._folder(stage), deps, self.files))

    def deps_changed(self, stage: StageName, now: Read) -> Iterator[CallsOutdated]:
        """What there is to say of calls that are kept of a stage whose files have changed since."""
        recipe = self._keys.get(stage)  # hooks have none
        if not self.resumes or recipe is None:
            return
        from pipeline_runner.record.why import deps_changes, last_read

        with usable(self.store.database), closing(self.store.connect()) as connection:
            then, now = last_read(connection, self.run, stage), self._mask.whole(now)
            if then is None or then == now:
                return
            (kept,) = connection.execute(
                "SELECT sum(calls) FROM done WHERE run = ? AND stage = ? AND recipe = ?", (self.run, stage, recipe)
            ).fetchone()
        if kept:
            yield CallsOutdated(stage=stage, calls=kept, why=tuple(map(str, deps_changes(then, now))))

    def tell_apart(self, source: Source, folder: Path) -> Callable[[Sequence[Any]], bytes] | None:
        """How the items of a source are told apart from those of an earlier run; None: by their numbers."""
        from pipeline_runner.record.apart import telling_apart

        return telling_apart(source, folder, self.files)

    def news(self) -> Iterator[Event]:
        """What there is to say before a run goes on: what of the earlier one does not count any more."""
        if self.store.salvaged is not None:
            yield JournalMended(aside=str(self.store.salvaged.aside), rows=self.store.salvaged.rows)
        for moved in self._renamed:
            yield StageRenamed(stage=moved.stage, was=moved.was, calls=moved.calls)
        if self.resumes:
            yield from self.outdated()

    def outdated(self) -> Iterator[CallsOutdated]:
        """Calls that are kept of a stage, but only under other recipes than it has now: they are made again."""
        from pipeline_runner.record.why import why_not

        with usable(self.store.database), closing(self.store.connect()) as connection:
            rows = connection.execute(
                "SELECT stage, recipe, max(first + calls), max(seq) FROM done WHERE run = ? GROUP BY stage, recipe"
                " ORDER BY max(seq)",
                (self.run,),
            ).fetchall()
            newest = {stage: recipe for stage, recipe, _, _ in rows}
            changed: set[StageName] = set()
            for name, recipe in self._recipes.items():
                kept = {key: calls for stage, key, calls, _ in rows if stage == name}
                if kept and self._keys[name] not in kept:
                    changed.add(name)
                    yield CallsOutdated(
                        stage=name, calls=max(kept.values()), why=why_not(connection, newest[name], recipe)
                    )
            yield from self._passed_on(connection, changed)

    def _passed_on(self, connection: sqlite3.Connection, changed: set[StageName]) -> Iterator[CallsOutdated]:
        """Calls that would count, if a changed stage that reads them did not want their values, which went to it in
        the same trip and were not kept."""
        for name in reversed(list(self._plan.stages)):
            reader = next((edge.target for edge in self._plan.readers(name) if edge.target in changed), None)
            if reader is None or name in changed:
                continue
            ended = connection.execute(
                "SELECT body FROM event WHERE run = ? AND stage = ? AND kind = 'StageEnded' AND NOT EXISTS"
                " (SELECT * FROM done WHERE run = event.run AND stage = event.stage) ORDER BY rowid DESC LIMIT 1",
                (self.run, name),
            ).fetchone()
            if ended is not None and (calls := json.loads(ended[0]).get("done")):
                changed.add(name)
                yield CallsOutdated(stage=name, calls=calls, why=(f'its values went to "{reader}" and were not kept',))

    def last_news(self) -> Iterator[Event]:
        """What there is to say when a run has ended."""
        if self._journal.taken:
            yield JournalTaken(path=str(self.store.database))

    def close(self) -> None:
        """Write what is left and let go of the lock."""
        self._let_go(self._journal.close)

    def abandon(self) -> None:
        """Let go without another word: the folder cannot be written."""
        self._let_go(self._journal.abandon)

    def _let_go(self, end: Callable[[], None]) -> None:
        try:
            end()
        finally:
            self._reading.close()
            self.files.close()
            self._lock.release()


def made(plan: Plan, run: str) -> Mapping[StageName, Recipe]:
    from pipeline_runner.record.keys import recipes  # which parses Python

    return recipes(plan, run)


def identity(plan: Plan) -> str:
    """What makes two runs runs of the same pipeline: its file, or the folder and name of one made in Python."""
    pipeline = plan.pipeline
    return str(pipeline.folder / Path(pipeline.file).name) if pipeline.file else f"{pipeline.folder}:{pipeline.name}"


def last_run(store: Store, pipeline: str | None) -> str | None:
    """The newest run of a pipeline (None: of any), or None.

    A store that lies beside its pipeline moves with it: where none of its runs is of this path,
    those of a file of the same name are meant. What they still cover, their keys decide.
    """
    with usable(store.database), closing(store.connect()) as connection:
        runs = connection.execute("SELECT id, body FROM run ORDER BY began DESC").fetchall()
    ran = [(str(run), _identity(body)) for run, body in runs]
    if pipeline is None:
        return next((run for run, _ in ran), None)
    known = next((run for run, of in ran if of == pipeline), None)
    if known is not None or store.folder.resolve() != Path(pipeline).parent / ".prun":
        return known
    return next((run for run, of in ran if Path(of).name == Path(pipeline).name), None)


def _identity(body: str) -> str:
    try:
        return str(json.loads(body)["identity"])
    except (ValueError, TypeError, LookupError):
        return ""


def about_run(store: Store, run: str) -> dict[str, Any] | None:
    """What is kept about a run; None where there is none of that name."""
    with usable(store.database), closing(store.connect()) as connection:
        row = connection.execute("SELECT body FROM run WHERE id = ?", (run,)).fetchone()
    if row is None:
        return None
    try:
        about = json.loads(row[0])
    except ValueError:
        return None
    return about if isinstance(about, dict) else None
