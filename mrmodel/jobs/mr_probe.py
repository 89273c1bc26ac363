"""What a machine that runs tasks has: a job whose mappers look around and say what they see.

    python mr_probe.py -r hadoop INPUT

yields, for each line of the input, the host's name and what was found there. A line that is a
shard (JSON, as in mrmodel's manifests) also has its first file read, to see that data is in reach.

This file runs on machines that may lack everything but Python, and an old one at that: it imports
the standard library and mrjob, and has to parse on Python 3.7.
"""

import importlib
import json
import os
import platform
import resource
import shutil
import socket
import sys
import time

from mrjob.job import MRJob

# distribution → module, for what tasks import
PACKAGES = {
    "torch": "torch",
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "hdfs-native": "hdfs_native",
    "safetensors": "safetensors",
    "psutil": "psutil",
}
MARK = "mrmodel probe"


class MRProbe(MRJob):
    """The job; it takes the file options of mrmodel's launchers and needs neither."""

    def configure_args(self):
        super().configure_args()
        self.add_file_arg("--task-spec", help="what tasks are told (made by the driver)")
        self.add_file_arg("--files-by-split", help="files that Hadoop cuts (made by the driver)")

    def mapper(self, _, line):
        found = dict(look_around(), input=read_input(line))
        yield MARK, found

    def hadoop_input_format(self):
        """One line of the input per task."""
        if self.options.runner != "hadoop" or self.options.files_by_split:
            return None
        return "org.apache.hadoop.mapred.lib.NLineInputFormat"

    def _runner_class(self):
        """Our own runners under mrjob's names, as all of mrmodel's jobs have them."""
        from mrmodel.jobs.mr_predict import RUNNERS, load_dotted

        name = self.options.runner or "inline"
        return load_dotted(RUNNERS[name]) if name in RUNNERS else super()._runner_class()


def look_around():
    """This machine as a task finds it, JSON-able."""
    started = time.time()
    versions, missing = packages()
    return {
        "host": socket.gethostname(),
        "python": list(sys.version_info[:3]),
        "executable": sys.executable,
        "platform": platform.platform(),
        "versions": versions,
        "missing": missing,
        "import_seconds": round(time.time() - started, 1),
        "cores": len(os.sched_getaffinity(0)),
        "vcores": _from_hadoop("mapreduce_map_cpu_vcores"),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "container_mb": _from_hadoop("mapreduce_map_memory_mb"),
        "address_space_mb": address_space_mb(),
        "free_disk_mb": shutil.disk_usage(os.getcwd()).free >> 20,
    }


def packages():
    """({distribution: version}, {distribution: why it cannot be imported})."""
    versions, missing = {}, {}
    for name, module in PACKAGES.items():
        try:
            versions[name] = version_of(name, importlib.import_module(module))
        except Exception as error:  # noqa: BLE001 a broken library raises what it likes
            missing[name] = f"{type(error).__name__}: {error}"[:300]
    return versions, missing


def version_of(name, module):
    """Its own word, else that of its installation."""
    found = getattr(module, "__version__", None)
    if found:
        return str(found)
    return importlib.import_module("importlib.metadata").version(name)


def address_space_mb():
    """What ``ulimit -v`` says; None without a limit."""
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if soft == resource.RLIM_INFINITY else soft >> 20


def read_input(line):
    """Read the file of the shard `line`: {uri, seconds} or {uri, error}; None for other lines."""
    try:
        uri = json.loads(line.split("\t")[-1])["pieces"][0]["uri"]
    except (ValueError, TypeError, LookupError):
        return None
    started = time.time()
    try:
        # through the zip that the job carries; it may not even parse on an old Python
        nbytes = len(importlib.import_module("mrmodel.storage").read_bytes(uri))
    except Exception as error:  # noqa: BLE001 whatever it is, a job would meet it
        return {"uri": uri, "error": str(error)[:500] or type(error).__name__}
    return {"uri": uri, "bytes": nbytes, "seconds": round(time.time() - started, 2)}


def _from_hadoop(name):
    """The number that Hadoop Streaming put in the environment; None outside Hadoop."""
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else None


if __name__ == "__main__":
    MRProbe.run()
