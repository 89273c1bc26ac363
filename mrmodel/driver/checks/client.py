"""The Hadoop client on this machine: Java, configuration, the hadoop command, the Streaming jar."""

from __future__ import annotations

import os
import shutil

from mrmodel.driver.checks.base import Check, Facts, Finding, fail, ok, telling_line, warn
from mrmodel.driver.checks.machine import check_package
from mrmodel.runners.hadoop_conf import HadoopConf, hadoop_binary
from mrmodel.storage.uris import hadoop_conf_dir

_JAVA_SECONDS = 15.0
_HADOOP_SECONDS = 30.0  # a JVM, started on a machine that may be busy


def check_java(facts: Facts) -> Finding:
    """Java, as the hadoop command will look for it."""
    home = os.environ.get("JAVA_HOME", "")
    binary = shutil.which("java", path=os.path.join(home, "bin")) if home else shutil.which("java")
    if binary is None and home:
        return fail(f"JAVA_HOME is {home}, which has no bin/java", "set JAVA_HOME to a JDK or JRE")
    if binary is None:
        return warn(
            "JAVA_HOME is not set and there is no java on PATH",
            "set JAVA_HOME, unless hadoop-env.sh does",
        )
    works, line = telling_line([binary, "-version"], _JAVA_SECONDS)
    if not works:
        return fail(f"{binary}: {line}", "set JAVA_HOME to a Java that runs")
    return ok(f"{line} ({'JAVA_HOME' if home else binary})")


def check_configuration(facts: Facts) -> Finding:
    """HADOOP_CONF_DIR, or etc/hadoop under HADOOP_HOME."""
    facts.conf = HadoopConf.load()
    folder = hadoop_conf_dir()
    origin = "HADOOP_CONF_DIR" if os.environ.get("HADOOP_CONF_DIR") else "HADOOP_HOME"
    names = ("core-site.xml", "yarn-site.xml", "mapred-site.xml")
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        remedy = "copy the cluster's client configuration there"
        return fail(f"{folder} ({origin}) has no {', '.join(missing)}", remedy)
    framework = facts.conf.get("mapreduce.framework.name", "local")
    if framework != "yarn":
        return fail(
            f"{folder} ({origin}): mapreduce.framework.name is {framework}, so jobs would not run "
            "on the cluster",
            "set it to yarn in mapred-site.xml",
        )
    return ok(f"{folder} ({origin})")


def check_hadoop(facts: Facts) -> Finding:
    """That the hadoop command starts, Java included."""
    facts.hadoop = hadoop_binary()
    works, line = telling_line([facts.hadoop, "version"], _HADOOP_SECONDS)
    if not works:
        return fail(f"{facts.hadoop} version: {line}", "check JAVA_HOME and HADOOP_HOME")
    return ok(f"{line} ({facts.hadoop})")


def check_streaming_jar(facts: Facts) -> Finding:
    """The jar that mrjob will hand to ``hadoop jar``; mrjob itself is asked."""
    from mrmodel.jobs.mr_probe import MRProbe

    jar = MRProbe(["-r", "hadoop"]).make_runner().get_hadoop_streaming_jar()
    if jar is None:
        return fail(
            "found neither below HADOOP_HOME nor where distributions put it",
            "set HADOOP_MAPRED_HOME to the folder that has hadoop-streaming-*.jar below it, or "
            "hadoop_streaming_jar in mrjob.conf",
        )
    if "://" not in jar and not os.path.exists(jar):
        return fail(f"{jar} does not exist", "correct hadoop_streaming_jar in mrjob.conf")
    return ok(jar)


CHECKS = [
    Check("hdfs-native", lambda facts: check_package("hdfs-native")),
    Check("java", check_java),
    Check("configuration", check_configuration),
    Check("hadoop", check_hadoop),
    Check("streaming jar", check_streaming_jar, needs=("mrjob", "hadoop")),
]
