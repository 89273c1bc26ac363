"""From the options of a command to the values that describe a job."""

from __future__ import annotations

from typing import Any

from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec


def specs_of(
    options: dict[str, Any],
) -> tuple[ModelSpec, DataSpec, OutputSpec, ExecutionSpec]:
    """What the options of `job_options` say, and ``--output`` with its format."""
    model = ModelSpec(
        options["model"], options["model_args"], options["weights"], tuple(options["py_files"]),
        options["device"], options["dtype"], options.get("quantize"),
        options.get("tolerance", ModelSpec.tolerance), options.get("compile", False),
    )  # fmt: skip
    data = DataSpec(
        tuple(options["inputs_"]), options["input_format"], options["inputs"], options.get("keep"),
        dict(options["types"]), options["image_size"],
    )  # fmt: skip
    output = OutputSpec(
        options["output"] or "", options.get("output_format", "parquet"), options["max_bad"],
        options["overwrite"], options["resume"],
    )  # fmt: skip
    names = ("runner", "batch_size", "shard_size", "workers", "threads", "vcores", "memory",
             "python", "env", "batch_timeout")  # fmt: skip
    execution = ExecutionSpec(
        **{name: options[name] for name in names},
        prepare_workers=options.get("prepare_workers", 0),
        jobconf=dict(options["jobconf"]),
        mrjob_args=tuple(a for path in options["conf_paths"] for a in ("--conf-path", path)),
    )
    return model, data, output, execution
