"""A predict task: the shards it is given, through the model, into the staging folder."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any

from mrmodel import storage
from mrmodel.errors import JobError, LedgerError, MrmodelError
from mrmodel.formats.base import ReadOptions
from mrmodel.models.compiled import take_calls
from mrmodel.shards.shard import Shard
from mrmodel.tasks import model as task_model
from mrmodel.tasks.bad_rows import counts_from_piece
from mrmodel.tasks.clock import Clock, born
from mrmodel.tasks.context import TaskContext
from mrmodel.tasks.forward import preparer
from mrmodel.tasks.gauge import Gauge, name_of
from mrmodel.tasks.pipeline import Pipeline
from mrmodel.tasks.preparers import Preparers
from mrmodel.tasks.pulse import Pulse, pulse_of
from mrmodel.tasks.reporter import Reporter
from mrmodel.tasks.shard_writer import ShardWriter, metadata_of
from mrmodel.tasks.sizing import BatchSizer
from mrmodel.tasks.spec import TaskSpec
from mrmodel.tasks.staging import Staging
from mrmodel.tasks.threads import ThreadTrial
from mrmodel.version import __version__


def predict_task(
    spec: TaskSpec,
    context: TaskContext,
    reporter: Reporter,
    stdout: IO[bytes],
    on_share: Callable[[float], None],
) -> PredictTask:
    """Predictions go into the staging folder, and nothing to reducers."""
    return PredictTask(spec, context, reporter, on_share)


class PredictTask:
    """One attempt. `on_share` is told how much of the current shard is done (0..1)."""

    required: Sequence[str] = ()  # columns that must have a value, beside the model's inputs

    def __init__(
        self,
        spec: TaskSpec,
        context: TaskContext,
        reporter: Reporter,
        on_share: Callable[[float], None] = lambda share: None,
    ):
        self._spec = spec
        self._data = spec.task_data
        self._context = context
        self._reporter = reporter
        self._on_share = on_share
        self._staging = Staging(spec.staging, spec.identity)
        self._sizer = BatchSizer(spec.batch_size)
        self._threads = ThreadTrial(1)
        self._begun = time.time()
        self._predictor: Any = None
        self._preparers: Preparers | None = None
        self._load_seconds = 0.0
        self._pulse: Pulse | None = None

    def run(self, shards: Iterable[Shard]) -> None:
        """Finish every shard of `shards` that is not finished yet.

        Raises MrmodelError; its last words are in the staging folder by then.
        """
        try:
            attempt = self._context.attempt
            with pulse_of(self._spec, self._staging, attempt, self._reporter) as self._pulse:
                for shard in shards:
                    if not self._staging.is_done(shard.key):
                        self._run_shard(shard)
                        self._remember_batch_size()
                    self.after(shard)
        except SystemExit as error:
            told = JobError(
                f"the model ended the process with sys.exit({error.code!r}): raise an exception "
                f"for a bad row instead"
            )
            self._staging.report_error(self._context.attempt, told)
            raise told from error
        except Exception as error:
            self._staging.report_error(self._context.attempt, error, _detail(error))
            raise
        finally:
            if self._preparers:
                self._preparers.close()
            self._reporter.flush()

    def after(self, shard: Shard) -> None:
        """`shard` is finished, by this attempt or another."""

    def writer(self, folder: str, shard: Shard) -> ShardWriter:
        """What takes in the predictions of `shard`, and puts files into `folder`."""
        return ShardWriter(folder, self._data.keep, self._spec.output_format, self._about(shard))

    def _run_shard(self, shard: Shard) -> None:
        self._load()
        clock, begun = Clock(), time.perf_counter()
        folder = self._staging.start(self._context.attempt, shard.key)
        writer = self.writer(folder, shard)
        try:
            self._pipeline(shard, clock).run(shard, writer)
            writer.close()
            self._check(shard, writer)
        except BaseException:
            self._staging.abandon(folder)
            raise
        clock.add("load", self._load_seconds)
        self._load_seconds = 0.0
        record = self._record(shard, writer, clock, time.perf_counter() - begun)
        self._staging.finish(folder, shard.key, record)

    def _load(self) -> None:
        if self._predictor is not None:
            return
        self._beat("loading the model")
        begun = time.perf_counter()
        threads = self._context.threads(self._spec.threads)
        task_model.set_threads(threads)
        self._threads = ThreadTrial(threads, asked=self._spec.threads is not None)
        self._predictor = task_model.predictor_of(self._spec)
        self._sizer = self._new_sizer()
        self._preparers = self._new_preparers()
        self._load_seconds = time.perf_counter() - begun

    def _new_sizer(self) -> BatchSizer:
        own = getattr(self._predictor, "batch_size", None)
        if own:  # a model exported for one batch size takes no other
            return BatchSizer(int(own))
        by_cost = getattr(self._predictor, "size", None) is not None
        limit = self._remembered_limit(by_cost)
        return BatchSizer(self._spec.batch_size, limit, by_cost, self._threads.record)

    def _new_preparers(self) -> Preparers | None:
        """Forked before anything is computed: threads of a library are not there in a fork."""
        if not self._spec.prepare_workers or not hasattr(self._predictor, "prepare"):
            return None
        columns = self._data.columns
        prepare = preparer(self._predictor, columns)
        return Preparers(prepare, columns, self._spec.prepare_workers)

    def _pipeline(self, shard: Shard, clock: Clock) -> Pipeline:
        self._gauge = gauge = Gauge(shard, self._reporter, self._on_share, self._beat)
        schema = self._data.arrow_schema
        return Pipeline(
            self._predictor,
            self._data.format,
            ReadOptions(schema=schema, image_size=self._data.image_size),
            self._data.columns,
            self._sizer,
            clock,
            on_read=gauge.read,
            on_batch=gauge.batch,
            on_written=gauge.written,
            required=self.required,
            preparers=self._preparers,
        )

    def _beat(self, doing: str) -> None:
        if self._pulse is not None:
            self._pulse.beat(doing)

    def _about(self, shard: Shard) -> dict[str, str]:
        return metadata_of(self._spec.task_model.sha256, shard, __version__)

    def _check(self, shard: Shard, writer: ShardWriter) -> None:
        """The books of one shard: what planning counted, what was read, what was written."""
        bad = writer.dead_letters.count
        if writer.rows_in != writer.rows_ok + bad or shard.rows not in (None, writer.rows_in):
            raise LedgerError(
                f"the rows of {name_of(shard)} do not add up: planned {shard.rows}, read "
                f"{writer.rows_in}, good {writer.rows_ok}, bad {bad}; did the file change?"
            )

    def _record(
        self, shard: Shard, writer: ShardWriter, clock: Clock, elapsed: float
    ) -> dict[str, Any]:
        return {
            "shard": shard.key,
            "pieces": shard.to_dict()["pieces"],
            "rows": {
                "in": writer.rows_in,
                "ok": writer.rows_ok,
                "bad": writer.dead_letters.count,
            },
            "part": writer.part_name,
            "errors": writer.dead_letters.errors,
            "seconds": {name: round(value, 6) for name, value in clock.seconds.items()},
            "elapsed": round(elapsed, 6),
            "born": born(),
            "begun": self._begun,
            "first_batch": self._gauge.first_batch,
            "bytes": shard.length,
            "counts_from_piece": counts_from_piece(shard, self._data.format),
            "batch_size": self._sizer.rows,
            "threads": self._threads.threads,
            "attempt": self._context.attempt,
            "host": self._context.host,
            **({"calls": take_calls(self._predictor)} if self._spec.task_model.compiled else {}),
        }

    def _remembered_limit(self, by_cost: bool) -> float | None:
        """The bound that an earlier task has found."""
        uri = self._staging.folder("batch-size.json")
        if self._spec.batch_size != "auto" or not storage.exists(uri):
            return None
        return storage.read_json(uri).get("cost" if by_cost else "rows")

    def _remember_batch_size(self) -> None:
        """For the tasks that start after this one, and for --resume."""
        if self._spec.batch_size == "auto" and self._sizer.settled and self._sizer.changed:
            self._sizer.changed = False
            found = {"cost" if self._sizer.by_cost else "rows": self._sizer.limit}
            storage.write_json(self._staging.folder("batch-size.json"), found)


def _detail(error: Exception) -> str:
    """The stack, for an error that nobody foresaw."""
    if isinstance(error, MrmodelError):
        return error.detail
    return "".join(traceback.format_exception(error))
