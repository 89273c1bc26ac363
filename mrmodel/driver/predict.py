"""A predict job from beginning to end: look, plan, run, check the books, commit."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mrmodel import errors, storage
from mrmodel.driver import commit, ledger
from mrmodel.driver.cut import Cutter
from mrmodel.driver.earlier import earlier_form, earlier_shards, write_form, write_shards
from mrmodel.driver.model_files import (
    ModelFiles,
    find_models,
    identity,
    task_ensemble,
    task_model,
)
from mrmodel.driver.run import Run, describe
from mrmodel.driver.signals import terminate_is_interrupt
from mrmodel.driver.target import (
    Target,
    check_input,
    difference_to_output,
    open_target,
    prepare_staging,
)
from mrmodel.errors import InterruptedJobError, MrmodelError, TooManyBadRowsError
from mrmodel.jobs.mr_predict import MRPredict, load_dotted
from mrmodel.runners.base import Launch, Launcher, launcher_for
from mrmodel.shards.plan import Plan
from mrmodel.shards.planning import plan_data
from mrmodel.shards.shard import Shard
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec
from mrmodel.tasks.spec import Evaluation, Grouping, TaskData, TaskSpec, encode_schema
from mrmodel.tasks.staging import Staging
from mrmodel.units import parse_budget, parse_shard_size
from mrmodel.version import __version__

# named, not imported: they need torch, which the driver of a cluster's job does without
_CHOOSE = "mrmodel.driver.trial:choose"
_COMPILE = "mrmodel.driver.compiling:compiled_files"


@dataclass(frozen=True)
class Job:
    """What is asked for. `evaluation` is what to measure, None for predictions; `grouping` how
    predictions become those of groups; `reducers` the number of reduce tasks for either. `others`
    are the further models of an ensemble, `aggregate` how one prediction of a row is made of all
    of theirs."""

    model: ModelSpec
    data: DataSpec
    output: OutputSpec
    execution: ExecutionSpec
    job_class: type = MRPredict
    evaluation: Evaluation | None = None
    grouping: Grouping | None = None
    reducers: int = 0
    others: tuple[ModelSpec, ...] = ()
    aggregate: str | None = None

    @property
    def models(self) -> tuple[ModelSpec, ...]:
        return (self.model, *self.others)


class Watcher:
    """Is told how a job goes; this one does not care. Used as a context manager around the
    running of tasks."""

    def say(self, message: str) -> None:
        """Something a person may want to know."""

    def watch(self, launcher: Launcher, plan: Plan, shards: int, passes: int = 1) -> Any:
        """Show how `launcher` goes through the rows of `plan`, `passes` times."""
        return self

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def predict(job: Job, watcher: Watcher | None = None) -> Run:
    """Run `job`.

    Raises MrmodelError: nothing is at OUTPUT then that was not there before, except with
    TooManyBadRowsError (everything is there but _SUCCESS).
    """
    with (
        terminate_is_interrupt(),
        tempfile.TemporaryDirectory(prefix="mrmodel-", ignore_cleanup_errors=True) as folder,
    ):
        return Steps(job, watcher or Watcher(), Path(folder)).run()


class Steps:
    """The steps of one job, in the order of their calls. Those without an underscore are other
    for other kinds of jobs."""

    kind = "predict"

    def __init__(self, job: Job, watcher: Watcher, folder: Path):
        self._job = job
        self._watcher = watcher
        self._folder = folder
        self._started = time.time()
        self._marks: dict[str, float] = {}
        self._launcher: Launcher = launcher_for(job.execution.runner)
        self._cutter = Cutter(self._launcher, job.execution, self._watcher.say)

    def run(self) -> Run:
        shard_size = self._check_options()
        self._launcher.check([*self._job.data.uris, self._job.output.uri])
        target = open_target(self._job.output)
        files = find_models(self._job.models, self._job.data.inputs is None, self._folder)
        plan = plan_data(self._job.data, files.declared, shard_size, self.also())
        check_input(target, (source.uri for source in plan.sources))
        files = self._in_a_form(target, files, plan)
        self._identity = identity(files, self.options(plan))
        shards = self._cutter.shards(
            target, files, plan, self._identity, shard_size, self._earlier_shards(target, plan)
        )
        self.check_shards(shards)
        already = self._already_complete(target, shards)
        if already:
            return already
        try:
            kept = self._keep_finished(target, files, shards)
            self._run_tasks(self._launch(target, files, plan, shards, kept), target)
        except KeyboardInterrupt as error:
            raise InterruptedJobError(f"interrupted; {_tidy(target.staging)}") from error
        return self.commit(target, files, plan, shards, kept)

    def _check_options(self) -> int:
        """The shard size in bytes. Raises UsageError before anything is touched."""
        output, execution = self._job.output, self._job.execution
        if output.overwrite and output.resume:
            raise errors.UsageError("--overwrite and --resume: expected at most one of them")
        parse_budget(output.max_bad)
        if execution.batch_size != "auto" and not _is_positive(execution.batch_size):
            raise errors.UsageError(
                f"--batch-size: expected auto or a number of rows but received "
                f"{execution.batch_size!r}"
            )
        return parse_shard_size(execution.shard_size)

    def _in_a_form(self, target: Target, files: ModelFiles, plan: Plan) -> ModelFiles:
        """`files` in the form that --dtype auto finds, or that a resumed run has found, and
        compiled where that is asked for."""
        if files.spec.dtype == "auto":
            resume = self._job.output.resume
            form = (resume and earlier_form(target, files.spec)) or self._measured_form(files, plan)
            files = replace(files, spec=replace(files.spec, **form["form"]), form=form)
        if not files.spec.compile:
            return files
        if files.members:
            raise errors.UsageError("--compile and several models: expected one model")
        self._watcher.say("compiling the model, unless it was before (half a minute or so)")
        compiled = load_dotted(_COMPILE)(files, self._task_data(plan), plan.sources)
        return replace(files, compiled=compiled)

    def _measured_form(self, files: ModelFiles, plan: Plan) -> dict[str, Any]:
        if files.members or files.spec.quantize:
            other = "--quantize" if files.spec.quantize else "several models"
            raise errors.UsageError(f"--dtype auto and {other}: expected at most one of them")
        choose = load_dotted(_CHOOSE)
        choice = choose(files.spec, self._task_data(plan), plan.sources, self._job.execution)
        self._watcher.say(str(choice))
        return choice.to_dict()

    def also(self) -> tuple[str, ...]:
        """Columns to read that are neither the model's nor kept."""
        return ()

    def check_shards(self, shards: tuple[Shard, ...]) -> None:
        """Raise UsageError where the job makes no sense for `shards`."""

    def options(self, plan: Plan) -> dict[str, Any]:
        """What, besides model and code, decides what a finished shard holds."""
        return {
            "inputs": plan.inputs,
            "keep": plan.keep,
            "format": plan.format,
            # types that were inferred change when the input grows
            "schema": [(column.name, str(column.type)) for column in plan.schema],
            "types": self._job.data.types,
            "image_size": self._job.data.image_size,
            "output_format": self._job.output.format,
            "version": __version__,
            **({"aggregate": self._job.aggregate} if self._job.aggregate else {}),
        }

    def _earlier_shards(self, target: Target, plan: Plan) -> tuple[Shard, ...]:
        if not self._job.output.resume:
            return ()
        return earlier_shards(target, self._identity, plan)

    def _already_complete(self, target: Target, shards: tuple[Shard, ...]) -> Run | None:
        """--resume on an output to which nothing has to be added but, maybe, _SUCCESS."""
        if not (self._job.output.resume and target.run):
            return None
        records = {record["shard"] for record in target.run.get("shards", [])}
        if difference_to_output(target, self._identity) or records != {s.key for s in shards}:
            return None
        run = Run.from_dict(target.run)
        success = target.is_complete or ledger.allows(self._job.output.max_bad, run.rows)
        if success and not target.is_complete:
            run = Run.from_dict({**target.run, "success": True})
            storage.write_json(storage.join(target.uri, "_mrmodel", "run.json"), run.to_dict())
            storage.write_bytes(storage.join(target.uri, "_SUCCESS"), b"")
        target.staging.delete()
        self._watcher.say("every shard was finished already: nothing to run")
        if not success:
            raise self._too_many_bad(run)
        return run

    def _keep_finished(
        self, target: Target, files: ModelFiles, shards: tuple[Shard, ...]
    ) -> set[str]:
        """Prepare the staging folder; the keys of the shards in it that are finished."""
        resume = self._job.output.resume
        if resume:
            commit.take_back(target.staging)
        reason = prepare_staging(target, self._identity, resume)
        write_shards(target, shards, self._cutter.told["shard_size"])
        write_form(target, files.form)
        if not resume:
            return set()
        wanted = {shard.key for shard in shards}
        reason = reason or difference_to_output(target, self._identity)
        if target.run and not difference_to_output(target, self._identity):
            self.keep_output(target, wanted)
        kept = wanted & set(target.staging.records())
        note = f" ({reason})" if reason else ""
        self._watcher.say(f"resuming: {len(kept)} of {len(shards)} shards are finished{note}")
        return kept

    def keep_output(self, target: Target, wanted: set[str]) -> None:
        """Take the shards of OUTPUT that count for this run."""
        commit.keep_shards(target, wanted)

    def _launch(
        self,
        target: Target,
        files: ModelFiles,
        plan: Plan,
        shards: tuple[Shard, ...],
        kept: set[str],
    ) -> Launch:
        execution = self._job.execution
        ensemble = task_ensemble(files, self._job.aggregate)
        spec = TaskSpec(
            job=storage.basename(target.uri),
            model=task_model(files).to_dict(),
            data=self._task_data(plan).to_dict(),
            staging=target.staging.uri,
            identity=self._identity,
            output_format=self._job.output.format,
            batch_size=execution.batch_size,
            threads=execution.threads,
            prepare_workers=execution.prepare_workers,
            batch_timeout=execution.batch_timeout,
            evaluation=self._job.evaluation and self._job.evaluation.to_dict(),
            ensemble=ensemble and ensemble.to_dict(),
        )
        return Launch(
            job_class=self._job.job_class,
            spec=spec,
            plan=plan,
            shards=shards,
            # reducers need what every shard has to say
            finished=frozenset() if self._job.reducers else frozenset(kept),
            execution=execution,
            folder=self._folder,
            staging=target.staging,
            code=files.code,
            weights=tuple(own.weights for _, own in files.members) or (files.weights,),
            weights_bytes=files.weights_bytes,
            kind=self.kind,
            reducers=self._job.reducers,
            marks=self._marks,
            say=self._watcher.say,
        )

    def _task_data(self, plan: Plan) -> TaskData:
        schema, size = encode_schema(plan.schema), self._job.data.image_size
        return TaskData(plan.format, schema, plan.inputs, plan.keep, size)

    def _run_tasks(self, launch: Launch, target: Target) -> None:
        if not launch.remaining:
            return
        self._marks["plan"] = time.time()
        try:
            with self._watcher.watch(self._launcher, launch.plan, len(launch.shards)):
                self._launcher.run(launch)
        except MrmodelError as error:
            told = last_words(target.staging, error)
            _tidy(target.staging)
            raise told from error
        except Exception:
            _tidy(target.staging)
            raise

    def commit(
        self,
        target: Target,
        files: ModelFiles,
        plan: Plan,
        shards: tuple[Shard, ...],
        kept: set[str],
    ) -> Run:
        records = commit.number_parts(self._finished(target, shards))
        ledger.check(plan, records)
        run = self._describe(target, files, plan, records, kept)
        commit.assemble(target, records, run.to_dict(), run.success)
        return self._publish(target, run)

    def _finished(self, target: Target, shards: tuple[Shard, ...]) -> list[ledger.Record]:
        finished = target.staging.records()
        missing = [shard for shard in shards if shard.key not in finished]
        if missing:
            raise errors.LedgerError(
                f"{len(missing)} of {len(shards)} shards are not finished, though no task failed: "
                f"run again with --resume"
            )
        return [finished[shard.key] for shard in shards]

    def _describe(
        self,
        target: Target,
        files: ModelFiles,
        plan: Plan,
        records: list[ledger.Record],
        kept: set[str],
    ) -> Run:
        success = ledger.allows(self._job.output.max_bad, ledger.total(records))
        self._cutter.learn([record for record in records if record["shard"] not in kept])
        run = describe(
            target.uri, success, self._job.execution.runner, plan, files, self._identity,
            records, self._started, kept, self._launcher.snapshot().applications,
            self._marks,
        )  # fmt: skip
        return replace(run, cut=self._cutter.told)

    def _publish(self, target: Target, run: Run) -> Run:
        commit.publish(target)
        if not run.success:
            raise self._too_many_bad(run)
        return run

    def _too_many_bad(self, run: Run) -> TooManyBadRowsError:
        error = TooManyBadRowsError(
            f"{run.rows['bad']} of {run.rows['in']} rows are bad, more than --max-bad "
            f"{self._job.output.max_bad} allows: see {run.output}/_bad; there is no _SUCCESS. "
            f"Accept them with --resume and a larger --max-bad"
        )
        error.run = run  # type: ignore[attr-defined]
        return error


def _is_positive(text: str) -> bool:
    return str(text).isdigit() and int(text) > 0


def last_words(staging: Staging, error: MrmodelError) -> MrmodelError:
    """What the first task that failed had to say; `error` when none said anything."""
    told = staging.errors()
    if not told:
        return error
    # what would be no other at another time, then what says more than that a task failed
    worst = max(told, key=lambda words: (words.get("final", False), words["type"] != "JobError"))
    return errors.by_name(worst["type"])(worst["message"], worst["detail"])


def _tidy(staging: Staging) -> str:
    """Remove what cannot be resumed; what is left, for people."""
    staging.clear_work()
    done = staging.count_done()
    if not done:
        staging.delete()
        return "nothing was written"
    return f"{done} finished shards are kept for --resume in {staging.uri}"
