"""Tasks on YARN, through mrjob and Hadoop Streaming.

Large files on HDFS are cut by Hadoop itself, which runs each task where the bytes lie; everything
else goes through a manifest, a line per task. Where a job has both, it is two applications.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from pathlib import Path

from mrjob.step import StepFailedException

from mrmodel import storage
from mrmodel.errors import (
    JobError,
    MetricError,
    ModelError,
    ModelOutputError,
    MrmodelError,
    UsageError,
    by_name,
)
from mrmodel.runners import yarn
from mrmodel.runners.base import WEIGHTS_FACTOR, Launch, Snapshot
from mrmodel.runners.hadoop_conf import HadoopConf, check_resource_manager, hadoop_binary
from mrmodel.runners.hadoop_errors import explain
from mrmodel.runners.shipping import ROUND_WEIGHTS, Shipment, ShippedWeights, ship, ship_round
from mrmodel.runners.sim import write_manifest
from mrmodel.runners.streaming import Submission, Submissions
from mrmodel.runners.together import Together
from mrmodel.shards.cutting import in_input_order
from mrmodel.shards.hadoop import HadoopPlan, hadoop_split_plan
from mrmodel.shards.plan import Plan
from mrmodel.shards.shard import Shard
from mrmodel.specs import ExecutionSpec
from mrmodel.tasks.reporter import HADOOP_PREFIX
from mrmodel.tasks.run import path_of
from mrmodel.tasks.spec import TaskEnsemble, TaskModel, TaskSpec
from mrmodel.tensors import wire
from mrmodel.units import parse_size
from mrmodel.users import hadoop_user

QUEUE = "mapreduce.job.queuename"
JVM_HEAP_MB = 256
# JVM (heap and the rest), Python with torch and pyarrow, windows and batches of the pipeline
BASE_MEMORY_MB = 1536
FORK_MEMORY_MB = 768
ROUND_MEMORY_MB = 256

LOOK_EVERY = 3.0
SUBMITTING = 20.0  # seconds that Hadoop's client may take from its start to the application's name
SHOWN_REASON = 200  # mrjob's reason is a command line of a kilobyte
# what a task says when every other attempt would say the same
_HOPELESS = (MetricError, ModelError, ModelOutputError)


class HadoopLauncher:
    """Runs shards as map tasks on the cluster that HADOOP_CONF_DIR describes."""

    def __init__(self) -> None:
        self._submissions = Submissions()
        self._pages = ""
        self._queue = ""
        self._history = ""
        self._hadoop = ""
        self._kept = 0

    def check(self, uris: list[str]) -> None:
        local = [uri for uri in uris if storage.is_local(uri)]
        if local:
            raise UsageError(
                f"-r hadoop: expected data and output on hdfs:// but received {local[0]}, which "
                f"the nodes cannot reach; copy data there with: mrmodel data put {local[0]} hdfs://…"
            )
        self._hadoop = hadoop_binary()
        conf = HadoopConf.load()
        self._pages = check_resource_manager(conf)
        self._queue = conf.get(QUEUE, "default")
        self._history = conf.history_server()

    def shards(
        self,
        plan: Plan,
        shard_size: int,
        execution: ExecutionSpec,
        earlier: tuple[Shard, ...] = (),
    ) -> tuple[Shard, ...]:
        self._split = hadoop_split_plan(plan.sources, shard_size)
        return in_input_order(plan.sources, [*self._split.shards, *self._split.manifest])

    def room(self, execution: ExecutionSpec, weights_bytes: int) -> int:
        # one less: the application master needs a place, too
        return max(1, (self._places(execution, weights_bytes) or 2) - 1)

    def _places(self, execution: ExecutionSpec, weights_bytes: int) -> int | None:
        memory = memory_mb(execution, weights_bytes)
        return yarn.room(self._pages, memory, execution.vcores, self._queue_of(execution))

    def _queue_of(self, execution: ExecutionSpec) -> str:
        return execution.jobconf.get(QUEUE, self._queue)

    def check_together(self, tasks: int, execution: ExecutionSpec, weights_bytes: int) -> None:
        memory = memory_mb(execution, weights_bytes)
        room = self._places(execution, weights_bytes)
        if room is not None and room < tasks:
            raise UsageError(
                f"{tasks} workers of {memory} MB and {execution.vcores} vcores must run at once, "
                f"but the cluster holds {room} of them in the queue {self._queue_of(execution)}: "
                f"use fewer --workers, less --memory, fewer --vcores, or another queue (--jobconf "
                f"{QUEUE}=…)"
            )

    def run(self, launch: Launch) -> None:
        self._kept = len(launch.finished)
        self._submissions = Submissions()  # those of an earlier run of this launcher are over
        self._check_memory(launch)
        user = hadoop_user()
        shipment = ship(
            launch.code,
            launch.weights,
            launch.execution.env,
            user,
            _file_system(launch),
            launch.spec.task_model.compiled,
        )
        launch.marks["upload"] = time.time()
        spec_file = launch.folder / "task-spec.json"
        _shipped_spec(launch, shipment).write(spec_file)
        roads = self._roads(launch, spec_file, shipment, user)
        with ThreadPoolExecutor(max(1, len(roads))) as pool:
            try:
                self._wait([pool.submit(road) for road in roads], launch)
            except BaseException:
                self._kill_all()
                raise
        self._mark(launch)

    def snapshot(self) -> Snapshot:
        found = [
            (submission, yarn.progress(self._pages, submission.application))
            for submission in self._submissions
            if submission.application
        ]
        told = [progress for _, progress in found if progress]
        return Snapshot(
            done=self._kept + sum(p.done for p in told),
            running=sum(p.running for p in told),
            rows=sum(max(p.counter("rows in"), p.counter("rows predicted")) for p in told),
            bad=sum(p.counter("rows bad") for p in told),
            applications=tuple(s.application for s, _ in found),
        )

    def page(self) -> str | None:
        return next((submission.url for submission in self._submissions if submission.url), None)

    def _roads(
        self, launch: Launch, spec_file: Path, shipment: Shipment, user: str
    ) -> list[Callable[[], None]]:
        """What has to be submitted, as functions."""
        own = ship_round(launch.round_weights)
        common = [
            *_common_args(launch, user),
            *_files_args(replace(shipment, files=(*shipment.files, *([own] if own else [])))),
            "--task-spec",
            str(spec_file),
        ]
        local = still_to_read(self._split, launch.finished)
        rest = [shard for shard in self._split.manifest if shard.key not in launch.finished]
        if launch.patience is not None or (launch.reducers and local.local and rest):
            # must be one application: all by a manifest
            local, rest = replace(local, local=()), launch.remaining
        roads = []
        if local.local:
            files = _write_files(launch.folder / "files.json", local)
            args = [*common, "--files-by-split", str(files), *_jobconf_args(local.jobconf)]
            roads.append(lambda: self._submit(launch, args, [s.uri for s in local.local]))
        if rest:
            manifest = write_manifest(launch.folder / "manifest", rest)
            roads.append(lambda: self._submit(launch, common, [str(manifest)]))
        return roads

    def _mark(self, launch: Launch) -> None:
        """Note down when the first application was submitted, and when the first one ran."""
        for name, moments in (
            ("submit", [submission.submitted_at for submission in self._submissions]),
            ("application", [submission.running_at for submission in self._submissions]),
        ):
            known = [moment for moment in moments if moment is not None]
            if known:
                launch.marks[name] = min(known)

    def _submit(self, launch: Launch, args: list[str], inputs: list[str]) -> None:
        """Run one application to its end. Raises JobError, or what it was that failed."""
        submission = self._submissions.new()
        job = launch.job_class([*args, *launch.execution.mrjob_args, *inputs])
        with job.make_runner() as runner:
            runner.submission = submission
            try:
                runner.run()
            except StepFailedException as error:
                raise self._explain(launch, submission, error) from error

    def _explain(
        self, launch: Launch, submission: Submission, error: StepFailedException
    ) -> MrmodelError:
        page = f"; see {submission.url}" if submission.url else ""
        told = [lambda: submission.text]
        if submission.application and not launch.staging.errors():
            told.append(lambda: yarn.diagnostics(self._history, submission.application))
            told.append(lambda: yarn.task_logs(self._hadoop, submission.application))
        found = next((e for e in (explain(text()) for text in told) if e is not None), None)
        if found is not None:
            return found
        tail = "\n".join(list(submission.lines)[-20:])
        reason = str(error)
        short = reason if len(reason) <= SHOWN_REASON else f"…{reason[-SHOWN_REASON:]}"
        return JobError(f"the Hadoop job failed{page}: {short}", detail=tail)

    def _check_memory(self, launch: Launch) -> None:
        asked, largest = memory_of(launch), yarn.node_memory(self._pages)
        if largest is not None and asked > largest:
            raise UsageError(
                f"a container of {asked} MB fits no node: the largest has {largest} MB; lower "
                f"--memory or use a smaller model"
            )

    def _wait(self, futures: list[Future[None]], launch: Launch) -> None:
        """Wait for all; an error that a second attempt would repeat ends the job at once."""
        waiting = set(futures)
        together = Together(launch) if launch.patience is not None else None
        while waiting:
            done, waiting = wait(waiting, timeout=LOOK_EVERY, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            for words in launch.staging.errors() if waiting else []:
                if words.get("final") or issubclass(by_name(words["type"]), _HOPELESS):
                    raise by_name(words["type"])(words["message"], words["detail"])
            if together and waiting:
                together.check(self._is_running())

    def _is_running(self) -> bool:
        """Whether YARN has begun with the job."""
        names = [s.application for s in self._submissions if s.application]
        return any(yarn.progress(self._pages, name) for name in names)

    def _kill_all(self) -> None:
        self._submissions.cancel()
        for submission in self._submissions:
            application = submission.wait_for_application(SUBMITTING)
            if application:
                yarn.kill(self._hadoop, application)
            if submission.process:
                submission.process.terminate()


def memory_of(launch: Launch) -> int:
    """Megabytes for a container of `launch`."""
    return memory_mb(launch.execution, launch.weights_bytes)


def memory_mb(execution: ExecutionSpec, weights_bytes: int) -> int:
    """Megabytes for a container: as asked, or estimated from the model's weights."""
    if execution.memory:
        return max(1, parse_size(execution.memory, "--memory") >> 20)
    # what a fork shares with its task counts in both, as YARN counts
    processes = 1 + execution.prepare_workers
    estimate = BASE_MEMORY_MB + FORK_MEMORY_MB * execution.prepare_workers
    estimate += processes * WEIGHTS_FACTOR * weights_bytes / (1 << 20)
    return int(-(-estimate // ROUND_MEMORY_MB) * ROUND_MEMORY_MB)


def still_to_read(split: HadoopPlan, finished: frozenset[str]) -> HadoopPlan:
    """`split` without the files of which every shard is finished. Hadoop cuts the others as
    before: a task whose shard is finished ends at once."""
    open_ = {s.pieces[0].uri for s in split.shards if s.key not in finished}
    local = tuple(source for source in split.local if source.uri in open_)
    maps = max(1, -(-sum(source.size for source in local) // split.split_size))
    return replace(split, local=local, maps=maps)


def _common_args(launch: Launch, user: str) -> list[str]:
    execution = launch.execution
    memory = memory_of(launch)
    heap = min(JVM_HEAP_MB, memory // 4)
    jobconf = {
        "mapreduce.job.name": f"mrmodel {launch.kind} {launch.spec.job}",
        "mapreduce.map.memory.mb": memory,
        "mapreduce.map.java.opts": f"-Xmx{heap}m -XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "mapreduce.map.cpu.vcores": execution.vcores,
        # the split's bytes must not arrive as lines without end, nor be logged for being long
        "mapreduce.input.linerecordreader.line.maxlength": 1_000_000,
        "mapreduce.map.log.level": "WARN",
        # milliseconds: how often the client looks at the job, and the master asks for containers.
        # A second of each, Hadoop's default, was a third of a small job
        "mapreduce.client.progressmonitor.pollinterval": 200,
        "yarn.app.mapreduce.am.scheduler.heartbeat.interval-ms": 200,
        "stream.map.input.ignoreKey": "true",
        "stream.stderr.reporter.prefix": HADOOP_PREFIX,
        # long lists of files would not fit the environment of the child
        "stream.jobconf.truncate.limit": 20_000,
        "mapreduce.fileoutputcommitter.algorithm.version": 1,
        **(_reduce_conf(launch, memory, heap) if launch.reducers else {}),
        **execution.jobconf,
    }
    environment = {
        "PYTHONPATH": "mrmodel.zip",
        "PYTHONUTF8": "1",
        "HADOOP_USER_NAME": user,
        "OMP_NUM_THREADS": str(execution.threads or execution.vcores),
    }
    return [
        *("-r", "hadoop", "--no-bootstrap-mrjob", "--no-check-input-paths", "--no-read-logs"),
        *("--cleanup-on-failure", "ALL", "--python-bin", _interpreter(execution)),
        # mrjob would take the folder of the user that this process runs as
        *("--hadoop-tmp-dir", storage.join(_file_system(launch), "user", user, ".mrmodel", "tmp")),
        *_jobconf_args(jobconf),
        *(word for k, v in environment.items() for word in ("--cmdenv", f"{k}={v}")),
    ]


def _reduce_conf(launch: Launch, memory: int, heap: int) -> dict[str, object]:
    return {
        **wire.JOBCONF,
        "mapreduce.job.reduces": launch.reducers,
        "mapreduce.reduce.memory.mb": memory,
        "mapreduce.reduce.java.opts": f"-Xmx{heap}m -XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "mapreduce.reduce.cpu.vcores": launch.execution.vcores,
        # a part of the small heap
        "mapreduce.task.io.sort.mb": heap // 4,
    }


def _jobconf_args(jobconf: dict[str, object]) -> list[str]:
    return [word for name, value in jobconf.items() for word in ("-D", f"{name}={value}")]


def _files_args(shipment: Shipment) -> list[str]:
    archives = ["--archives", shipment.env] if shipment.env else []
    return [*archives, *(word for file in shipment.files for word in ("--files", file))]


def _interpreter(execution: ExecutionSpec) -> str:
    """As asked, else that of the archive, else the driver's own: clusters often have the same
    Python at the same place everywhere."""
    return execution.python or ("env/bin/python" if execution.env else sys.executable)


def _file_system(launch: Launch) -> str:
    """The file system of the output; the cache of shipped files lies there too."""
    scheme, authority, _ = storage.split(launch.staging.uri)
    return f"{scheme}://{authority}"


def _shipped_spec(launch: Launch, shipment: Shipment) -> TaskSpec:
    spec, weights = launch.spec, shipment.weights or (ShippedWeights(),)
    if ship_round(launch.round_weights):
        spec = replace(spec, training={**(spec.training or {}), "weights": ROUND_WEIGHTS})
    if spec.ensemble is None:
        model = _shipped(spec.task_model, weights[0])
        return replace(spec, model=replace(model, compiled=shipment.compiled).to_dict())
    ensemble = TaskEnsemble.from_dict(spec.ensemble)
    members = tuple(
        replace(member, model=_shipped(member.task_model, own).to_dict()).to_dict()
        for member, own in zip(ensemble.task_members, weights, strict=True)
    )
    return replace(spec, ensemble=replace(ensemble, members=members).to_dict())


def _shipped(model: TaskModel, weights: ShippedWeights) -> TaskModel:
    return replace(
        model,
        shipped=True,
        weights=None,
        weights_links=weights.links,
        weights_is_folder=weights.is_folder,
    )


def _write_files(path: Path, split: HadoopPlan) -> Path:
    """The whole piece of each file by its path: what a task needs beside the split."""
    path.write_text(json.dumps({path_of(s.uri): asdict(s.piece()) for s in split.local}))
    return path
