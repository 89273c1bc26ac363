"""This machine: Python, the libraries, disk, cores and memory."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import re
import shutil
import sys
import tempfile
import warnings

from mrmodel.driver.checks.base import Check, Facts, Finding, counted, fail, ok, warn
from mrmodel.machine import cores, free_memory, memory_limit
from mrmodel.units import format_size

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)
# as setup.cfg has them (a test compares)
LEAST = {"torch": "2.6", "pyarrow": "16", "numpy": "1.26", "hdfs-native": "0.13", "mrjob": "0.7.4"}
# modules that mrjob imports, gone from the standard library → who brings them back
GONE = {"distutils": "setuptools>=68", "pipes": "standard-pipes>=3.13"}
FREE_DISK = 1 << 30
FREE_MEMORY = 2 << 30


def check_python(facts: Facts) -> Finding:
    """The interpreter that runs this."""
    return judge_python(sys.version_info[:3], sys.executable, "run mrmodel with one of those")


def judge_python(version: tuple[int, ...], where: str, remedy: str) -> Finding:
    """Whether mrmodel runs on Python `version`."""
    found = f"{'.'.join(map(str, version))} ({where})"
    wanted = f"mrmodel is made for Python {_dotted(OLDEST_PYTHON)} to {_dotted(NEWEST_PYTHON)}"
    if version[:2] < OLDEST_PYTHON:
        return fail(f"{found}: {wanted}", remedy)
    if version[:2] > NEWEST_PYTHON:
        return warn(f"{found}: {wanted}, it is not tested with yours", remedy)
    return ok(found)


def check_torch(facts: Facts) -> Finding:
    """torch: its version, and what it can use."""
    found = check_package("torch")
    if found.mark != "ok":
        return found
    import torch

    bad = _numpy_trouble(torch)
    if bad:
        return fail(f"{found.found}: {bad}", 'pip install --upgrade torch "numpy>=1.26,<3"')
    return ok(f"{found.found}, {_devices(torch)}, {counted(torch.get_num_threads(), 'thread')}")


def check_package(distribution: str) -> Finding:
    """Whether `distribution` can be imported and is new enough."""
    least = LEAST[distribution]
    remedy = f'pip install "{distribution}>={least}"'
    try:
        module = importlib.import_module(distribution.replace("-", "_"))
    except Exception as error:  # noqa: BLE001 a broken library raises what it likes
        return fail(f"cannot be imported: {_one_line(error)}", remedy)
    version = version_of(distribution, module)
    if numbers(version) < numbers(least):
        return fail(f"{version}: expected {least} or later", remedy)
    return ok(version)


def version_of(distribution: str, module: object) -> str:
    """The installed version of a package."""
    found = getattr(module, "__version__", "")
    return str(found or importlib.metadata.version(distribution))


def numbers(version: str) -> tuple[int, ...]:
    """``2.13.0+cpu`` → (2, 13, 0): enough to compare releases."""
    return tuple(int(n) for n in re.findall(r"\d+", version.partition("+")[0])[:3])


def check_mrjob(facts: Facts) -> Finding:
    """mrjob 0.7.4 needs modules that left the standard library in Python 3.12 and 3.13."""
    for name, origin in GONE.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(name)
        except ImportError:
            version = platform.python_version()
            return fail(
                f"needs the module {name}, which Python {version} does not have",
                f'pip install "{origin}"',
            )
    found = check_package("mrjob")
    return found if found.mark != "ok" else _check_job_class(found)


def _check_job_class(found: Finding) -> Finding:
    try:
        importlib.import_module("mrmodel.jobs.mr_predict")
    except Exception as error:  # noqa: BLE001 a broken library raises what it likes
        return fail(f"{found.found}: {_one_line(error)}", "pip install --force-reinstall mrmodel")
    return ok(found.found)


def check_temporary(facts: Facts) -> Finding:
    """Where jobs put what they need while they run."""
    try:
        folder = tempfile.gettempdir()
        with tempfile.TemporaryFile() as file:
            file.write(b"mrmodel")
    except OSError as error:
        return fail(f"no temporary folder can be written: {error}", "set TMPDIR to one that can")
    free = shutil.disk_usage(folder).free
    found = f"{folder}: {format_size(free)} free"
    return warn(found, "make room, or set TMPDIR") if free < FREE_DISK else ok(found)


def check_resources(facts: Facts) -> Finding:
    """Cores and memory that this process may use."""
    import psutil

    own = cores()
    memory = psutil.virtual_memory()
    total, limit = memory.total, memory_limit()
    found = f"{counted(own, 'core')}, {format_size(memory.available)} of {format_size(total)}"
    found += " memory free"
    if limit is not None and limit < total:
        found += f" (this container may have {format_size(limit)})"
    if free_memory() < FREE_MEMORY:
        return warn(found, "free some memory, or use small models and a small --batch-size")
    return ok(found)


def _numpy_trouble(torch: object) -> str:
    """torch built for another major version of numpy imports well and fails at first use."""
    import numpy

    try:
        torch.from_numpy(numpy.zeros(1))  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 whatever it is, models would meet it
        return f"does not work with numpy {numpy.__version__} ({_one_line(error)})"
    return ""


def _devices(torch: object) -> str:
    cuda = torch.cuda  # type: ignore[attr-defined]
    if not cuda.is_available():
        return "cpu"
    names = [cuda.get_device_name(index) for index in range(cuda.device_count())]
    return f"cuda ({', '.join(names)})"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]


CHECKS = [
    Check("python", check_python),
    Check("torch", check_torch),
    Check("numpy", lambda facts: check_package("numpy")),
    Check("pyarrow", lambda facts: check_package("pyarrow")),
    Check("mrjob", check_mrjob),
    Check("temporary folder", check_temporary),
    Check("machine", check_resources, remedy='pip install "psutil>=5.9"'),
]
