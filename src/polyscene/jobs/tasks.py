"""What a job may be: every kind with its arguments and the work itself."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import msgspec

from polyscene.artifacts.files import replace_synced
from polyscene.core.contracts import Progress
from polyscene.core.errors import InputError, NotFoundError, nearest
from polyscene.jobs.export import ExportRequest
from polyscene.jobs.record import Records
from polyscene.jobs.workspace import NEWEST_QUALITY, Workspace

Names = Annotated[list[str], msgspec.Meta(max_length=100)]


class TrainArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which scenarios to fit (none named: all) and how long each may take."""

    scenarios: Names = []
    budget_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    holdout: bool = True
    force: bool = False


class EvaluateArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which scenario to fit on all but the last events of the log, and to ask for these."""

    scenario: str
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0


class QualityArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to choose: the whole log is looked at."""


class BackupArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to choose: a client names no folder."""


@dataclass(frozen=True, slots=True)
class Task:
    """One job at work. `share` tells which part of the whole the next progress bars are."""

    workspace: Workspace
    records: Records
    id: str
    progress: Progress
    share: Callable[[int, int], None]


def train(task: Task, arguments: TrainArguments) -> dict[str, Any]:
    """Fits, examines and promotes; a scenario that the canary refuses is told, the others stand."""
    from polyscene.jobs.train import TrainRequest, train_in_turn

    names = arguments.scenarios or sorted(task.workspace.scenarios())
    request = TrainRequest(
        names=names, holdout=arguments.holdout, force=arguments.force, budget_s=arguments.budget_s
    )
    found = []
    task.share(0, len(names))
    for report in train_in_turn(task.workspace, request, task.progress):
        found.append(asdict(report))
        task.share(min(len(found), len(names) - 1), len(names))
    return {"scenarios": found}


def export(task: Task, arguments: ExportRequest) -> dict[str, Any]:
    """Recommends to everybody, into the job's file."""
    from polyscene.jobs.export import export as job

    records, path = task.records, task.records.output(task.records.get(task.id))
    path.parent.mkdir(exist_ok=True)
    if arguments.resume is not None:
        _take_over(task, arguments.resume)
    with task.workspace.reader() as log, records.shown(task.id).open("ab") as shown:

        def keep(exposure: Any) -> None:
            shown.write(msgspec.json.encode(exposure) + b"\n")

        report = job(
            task.workspace,
            arguments,
            path,
            task.progress,
            log=log,
            keep=keep if arguments.log_exposures else None,
        )
    media = "text/csv" if arguments.format == "csv" else "application/x-ndjson"
    return {"output": media, **msgspec.to_builtins(report)}


def evaluate(task: Task, arguments: EvaluateArguments) -> dict[str, Any]:
    """Every figure of a scenario on the log, beside the trivial baselines; nothing is kept of the fit."""
    from polyscene.dataset.world import World
    from polyscene.jobs.evaluate import evaluate_data

    scenarios = task.workspace.scenarios()
    if arguments.scenario not in scenarios:
        raise NotFoundError(
            f"evaluate: no scenario {arguments.scenario!r}{nearest(arguments.scenario, scenarios)}"
        )
    with task.workspace.reader() as log:
        data = World.open(log).data()
    return evaluate_data(scenarios[arguments.scenario], data, seed=arguments.seed, progress=task.progress)


def quality(task: Task, arguments: QualityArguments) -> dict[str, Any]:
    """Looks at all that the log holds, and keeps the report where the workspace's newest one stands."""
    from polyscene.jobs.quality import quality as job

    found = job(task.workspace, task.progress)
    replace_synced(task.workspace.root / NEWEST_QUALITY, msgspec.json.encode(found))
    return {severity: found.count(severity) for severity in ("bad", "warn", "note")}


def backup(task: Task, arguments: BackupArguments) -> dict[str, Any]:
    """The workspace in a new folder beside it; `polyscene restore` brings it back."""
    from polyscene.jobs.backup import backup as job

    root = task.workspace.root.resolve()
    found = job(task.workspace, root.with_name(f"{root.name}-backup-{task.id}"))
    return {
        "folder": found.folder.name,
        "position": found.manifest.position,
        "files": len(found.manifest.files),
        "size": sum(file.size for file in found.manifest.files.values()),
        "notes": list(found.notes),
    }


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job."""

    arguments: type[msgspec.Struct]
    work: Callable[[Task, Any], dict[str, Any]]


KINDS: Mapping[str, Kind] = {
    "train": Kind(TrainArguments, train),
    "export": Kind(ExportRequest, export),
    "evaluate": Kind(EvaluateArguments, evaluate),
    "backup": Kind(BackupArguments, backup),
    "quality": Kind(QualityArguments, quality),
}


def arguments_of(kind: str, raw: Mapping[str, Any]) -> msgspec.Struct:
    """The arguments of a job of that kind.

    Raises:
        InputError: An unknown kind, an unknown or wrong argument.
    """
    if kind not in KINDS:
        raise InputError(f"jobs: unknown kind {kind!r}{nearest(kind, KINDS)}")
    try:
        return msgspec.convert(raw, KINDS[kind].arguments)
    except msgspec.ValidationError as problem:
        raise InputError(f"jobs: arguments of {kind!r}: {problem}") from problem


def _take_over(task: Task, older: str) -> None:
    """The unfinished file of an older export becomes this one's."""
    records = task.records
    source, target = (records.output(records.get(each)) for each in (older, task.id))
    for suffix in (".part", ".part.mark"):
        path = source.with_name(source.name + suffix)
        if path.is_file():
            path.rename(target.with_name(target.name + suffix))
    if records.shown(older).is_file():
        records.shown(older).rename(records.shown(task.id))
