"""The plan in words, for people at a terminal, and as plain data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from textwrap import indent, wrap

from pipeline_runner.plan.forecast import Forecast, Outlook, span
from pipeline_runner.plan.measured import short
from pipeline_runner.plan.plan import Edge, Group, Plan, StagePlan
from pipeline_runner.spec.pipeline import Command, StageName

WIDTH = 100  # columns
INDENT = "  "
AFTER = {"on_success": "After a run that ended well", "on_failure": "After a run that failed"}


def explain(plan: Plan, forecast: Forecast | None = None) -> str:
    """Every stage with what becomes of it, its method and the reasons, then who runs beside whom."""
    outlooks = {} if forecast is None else forecast.stages
    hooks = (_stage(plan, hook, None) for hook in plan.hooks.values())
    blocks = [_title(plan), *_stages(plan, "", outlooks), *hooks, _waves(plan)]
    if forecast is not None and forecast.seconds is not None:
        blocks.append(f"In all about {span(forecast.seconds)}, as long as it took before.")
    if plan.pipeline.warnings:
        blocks.append("\n".join(f"warning: {warning}" for warning in plan.pipeline.warnings))
    return "\n\n".join(blocks) + "\n"


def _stages(plan: Plan, outer: str, outlooks: Mapping[StageName, Outlook]) -> Iterator[str]:
    """The stages of a pipeline; those of a pipeline within it below its name, where the first of them stands."""
    told: set[str] = set()
    for name, stage in plan.stages.items():
        unit = directly(outer, name)
        if unit is None or unit in told:
            continue
        told.add(unit)
        if unit == name:
            yield _stage(plan, stage, outlooks.get(name))
            continue
        count = sum(other.startswith(f"{unit}.") for other in plan.stages)
        yield f"{unit}: {_counted(count, 'stage')} of {plan.pipeline.composed[StageName(unit)].file}"
        yield from (indent(block, INDENT) for block in _stages(plan, unit, outlooks))


def directly(outer: str, stage: str) -> str | None:
    """What of a pipeline a stage is, or is in; None where it is outside. The whole pipeline is ""."""
    if not outer:
        return stage.partition(".")[0]
    inside = stage.removeprefix(f"{outer}.")
    return None if inside == stage else f"{outer}.{inside.partition('.')[0]}"


def _title(plan: Plan) -> str:
    sizes = (
        _counted(len(plan.stages), "stage"),
        _counted(len(plan.groups), "group"),
        _counted(len(plan.waves), "wave"),
        _counted(plan.workers, "worker"),
    )
    return f"{plan.pipeline.name}: {', '.join(sizes)}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _stage(plan: Plan, stage: StagePlan, outlook: Outlook | None) -> str:
    why = plan.skipped.get(stage.spec.name)
    lines = list(_told("skipped", why)) if why else []
    if outlook is not None and not why:
        lines += _told("now", _outlook(plan, stage, outlook))
        for because in outlook.because:
            lines += _told("because", because)
    lines += [*_command(stage), *_told("method", stage.choice.method.name)]
    if stage.spec.condition is not None and not why:
        lines += _told("if", stage.spec.condition.text)
    lines += _told("calls", ", ".join(_shape(stage)))
    lines += _told("why", stage.choice.why)
    if stage.choice.runner_up is not None:
        lines += _told("not", f"{stage.choice.runner_up.name}: {stage.choice.why_not}")
    if outlook is not None and outlook.each_s:
        order = ", the longest go first" if outlook.longest_first else ""
        lines += _told("chunk", f"sized from the first by the {short(outlook.each_s)} that a call took before{order}")
    for edge in plan.sources(stage.spec.name):
        lines += _told(str(edge.kind), f"{edge.source} → {edge.target}: {edge.why}")
    return "\n".join([stage.spec.name, *lines])


def _outlook(plan: Plan, stage: StagePlan, outlook: Outlook) -> str:
    if stage.spec.name not in plan.taken:
        return str(outlook)
    return f"not run; {'not all of it is there from before' if outlook.missing else outlook}"


def _command(stage: StagePlan) -> Iterator[str]:
    """A command as it is written, line by line."""
    if isinstance(stage.spec.function, Command):
        for number, line in enumerate(stage.spec.function.written.split("\n")):
            yield f"{INDENT}{'' if number else 'run':<9}{line}".rstrip()


def _shape(stage: StagePlan) -> Iterator[str]:
    choice = stage.choice
    yield "as many as there are items" if stage.calls is None else _counted(stage.calls, "call")
    yield f"args {choice.style}"
    yield f"dispatch {choice.method.dispatch}"
    yield f"returns {choice.returns}"
    if not choice.backend.in_process:
        yield _counted(stage.workers, "worker")
    elif choice.method.parallel:
        yield _counted(stage.workers, "thread")
    if stage.start_method is not None:
        yield str(stage.start_method)
    if stage.spec.threads is not None and not choice.backend.in_process:
        yield f"{_counted(stage.spec.threads, 'thread')} in each"
    if stage.spec.limits:
        yield "holding " + ", ".join(f"{count} {name}" for name, count in stage.spec.limits.items())
    if stage.spec.priority:
        yield f"priority {stage.spec.priority}"


def _told(label: str, text: str) -> Iterable[str]:
    """`  label    text`, wrapped under itself."""
    first = f"{INDENT}{label:<9}"
    return wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_long_words=False)


def _waves(plan: Plan) -> str:
    lines: list[str] = []
    for number, wave in enumerate(plan.waves, 1):
        lines.append(f"wave {number}")
        for group in wave:
            lines += _told(f"group {group + 1}", _group(plan.groups[group]))
    lines.append("")
    lines.append("Groups of a wave may run side by side; the stages of a group run at the same time.")
    for kind in dict.fromkeys(hook.spec.hook for hook in plan.hooks.values()):
        lines.append(f"{AFTER[kind]}: {', '.join(n for n, hook in plan.hooks.items() if hook.spec.hook == kind)}")
    if any(len(chain.stages) > 1 for group in plan.groups for chain in group.chains):
        lines.append("Stages joined by → make one trip: an item goes through all of them in the same worker.")
    return "\n".join(lines)


def _group(group: Group) -> str:
    return ", ".join(" → ".join(chain.stages) for chain in group.chains)


def as_json(plan: Plan, forecast: Forecast | None = None) -> dict[str, object]:
    """The plan as plain data. Groups and waves are numbered from 0."""
    outlooks = {} if forecast is None else {name: _outlook_json(one) for name, one in forecast.stages.items()}
    group_of = {stage: number for number, group in enumerate(plan.groups) for stage in group.stages}
    return {
        "pipeline": plan.pipeline.name,
        "file": plan.pipeline.file,
        "workers": plan.workers,
        "stages": {
            name: _stage_json(stage)
            | {"group": group_of[name], "skipped": plan.skipped.get(name)}
            | outlooks.get(name, {})
            for name, stage in plan.stages.items()
        },
        "hooks": {name: _stage_json(stage) | {"after": stage.spec.hook} for name, stage in plan.hooks.items()},
        "edges": [_edge_json(edge) for edge in plan.edges],
        "groups": [{"chains": [list(chain.stages) for chain in group.chains]} for group in plan.groups],
        "waves": [list(wave) for wave in plan.waves],
        "warnings": list(plan.pipeline.warnings),
        "pipelines": {
            name: {"file": one.file, "stages": [stage for stage in plan.stages if stage.startswith(f"{name}.")]}
            for name, one in plan.pipeline.composed.items()
        },
        **({} if forecast is None else {"seconds": forecast.seconds}),
    }


def _outlook_json(outlook: Outlook) -> dict[str, object]:
    return {
        "action": str(outlook.action),
        "calls": outlook.calls,
        "reused": outlook.reused,
        "because": list(outlook.because),
        "seconds": outlook.seconds,
        "call_seconds": outlook.each_s,
        "longest_first": outlook.longest_first,
    }


def _stage_json(stage: StagePlan) -> dict[str, object]:
    choice = stage.choice
    second = choice.runner_up
    command = stage.spec.function
    return {
        **({"run": command.written, "stdout": command.stdout} if isinstance(command, Command) else {}),
        "method": choice.method.name,
        "backend": choice.backend.keyword,
        "dispatch": str(choice.method.dispatch),
        "args": str(choice.style),
        "returns": str(choice.returns),
        "calls": stage.calls,
        "workers": stage.workers,
        "start_method": None if stage.start_method is None else str(stage.start_method),
        "window": stage.window,
        "threads": stage.threads,
        "if": None if stage.spec.condition is None else stage.spec.condition.text,
        "limits": dict(stage.spec.limits),
        "priority": stage.spec.priority,
        "why": choice.why,
        "runner_up": None if second is None else {"method": second.name, "why_not": choice.why_not},
    }


def _edge_json(edge: Edge) -> dict[str, object]:
    return {"source": edge.source, "target": edge.target, "kind": str(edge.kind), "why": edge.why}
