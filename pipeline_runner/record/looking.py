"""Where a run looks for calls that need not be made: in its own earlier try, in the cache, or nowhere."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline_runner.classes import dataclass, replace
from pipeline_runner.plan.plan import Plan
from pipeline_runner.record.files import Files
from pipeline_runner.record.reading import Reading
from pipeline_runner.spec.pipeline import StageName
from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.record.ahead import Known
    from pipeline_runner.record.earlier import Earlier
    from pipeline_runner.record.outs import Standing


@dataclass(frozen=True)
class Looking:
    """What may be reused in a run."""

    resume: bool = False  # what the same run has made before
    force: bool = False  # nothing, except of stages that are not to run at all
    cache: bool = True  # what any run has made of the stages that say `cache: true`
    alone: bool = False  # nothing that another run has made: this one was begun with --force

    def as_begun(self, about: Mapping[str, Any]) -> Looking:
        """The same for another try of a run, of which this is kept: what it was told to make anew, it makes anew."""
        cache = self.cache and not about.get("uncached")
        return replace(self, cache=cache, alone=self.alone or bool(about.get("forced")))

    @property
    def told(self) -> dict[str, Any]:
        """What is kept of it about the run."""
        return {**({} if self.cache else {"uncached": True}), **({"forced": True} if self.force or self.alone else {})}

    def anybodys(self, plan: Plan, stage: StageName) -> bool:
        """Whether what any run has made counts."""
        return stage in plan.taken or (plan.stages[stage].spec.cache and self.cache and not (self.force or self.alone))

    def at_all(self, plan: Plan, stage: StageName) -> bool:
        return self.anybodys(plan, stage) or (self.resume and not self.force)

    def up(
        self,
        reading: Reading,
        run: str,
        plan: Plan,
        stage: StageName,
        recipe: bytes | None,
        files: Files,
        wanted: bool,
        known: Known | None = None,
    ) -> Earlier | Standing | None:
        """What there is of a stage; None: it is not to be looked for. `wanted`: only with values. `known`: what of it
        was found before, if it was looked for."""
        if recipe is None or not self.at_all(plan, stage):
            return None
        from pipeline_runner.record.earlier import Earlier

        anybodys = self.anybodys(plan, stage)
        row = None if known is None else known.row
        earlier = Earlier(reading, run, stage, recipe, anybodys=anybodys, wanted=wanted, known=row)
        spec = plan.stages[stage].spec
        if not spec.outs:
            return earlier
        from pipeline_runner.record.outs import Standing

        folder = plan.pipeline.folder_of(spec)
        written = {} if known is None else known.written
        return Standing(earlier, reading, recipe, len(spec.outs), folder, files, written)
