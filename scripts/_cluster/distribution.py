"""Hadoop itself: fetched once from Maven Central into the cache, then laid out as HADOOP_HOME."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import classes, java
from .errors import ClusterError
from .state import cache_folder, locked

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
COMMANDS = ("hadoop", "hdfs", "yarn", "mapred")
MAVEN_SECONDS = 900


def version():
    return re.search(r"<hadoop.version>(.+?)<", POM.read_text())[1]


def ensure(say):
    """The folder with Hadoop's jars; downloads them when this pom.xml was not seen before."""
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:8]
    dist = cache_folder() / f"hadoop-{version()}-{digest}"
    if not (dist / "classpath").exists():
        with locked(cache_folder()):
            if not (dist / "classpath").exists():
                _download(dist, say)
    return dist


def _download(dist, say):
    if not shutil.which("mvn"):
        raise ClusterError(
            "expected Maven (`mvn` on PATH) to download Hadoop but found none; install it, for "
            "instance: apt-get install maven"
        )
    say(f"downloading Hadoop {version()} (once, about 130 MB) into {dist}")
    beside = Path(tempfile.mkdtemp(prefix="download-", dir=dist.parent))
    try:
        _maven(beside)
        jars = sorted((beside / "lib").glob("*.jar"))
        (beside / "classpath").write_text(":".join(f"{dist}/lib/{jar.name}" for jar in jars) + "\n")
        beside.chmod(0o755)
        beside.rename(dist)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _maven(target):
    command = ["mvn", "-B", "-q", "-f", str(POM), "process-resources", f"-Ddist={target}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAVEN_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"Maven took longer than {MAVEN_SECONDS} s; try again") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise ClusterError(f"Maven could not download Hadoop; it said:\n{tail}")


def lay_out(cluster):
    """HADOOP_HOME as tools expect it: bin/, etc/hadoop, share/hadoop/..., by links to the cache."""
    home, dist = cluster.home, Path(cluster.dist)
    shutil.rmtree(home, ignore_errors=True)
    for folder in ("bin", "etc/hadoop", "etc/nodes", "share/hadoop/tools/lib"):
        (home / folder).mkdir(parents=True)
    (home / "share/hadoop/common").symlink_to(dist / "lib")
    _link_streaming(home, dist)
    classes.write_all_jars(dist)
    _write_commands(cluster, dist)


def _link_streaming(home, dist):
    """mrjob looks for hadoop-streaming*.jar under HADOOP_HOME."""
    jar = next((dist / "lib").glob("hadoop-streaming-*.jar"))
    (home / "share/hadoop/tools/lib" / jar.name).symlink_to(jar)


def _write_commands(cluster, dist):
    script = (HERE / "command.sh").read_text()
    values = {
        "HOME": cluster.home,
        "DIST": dist,
        "JAVA": cluster.java_home,
        "OPTIONS": " ".join(java.OPTIONS),
        "ARCHIVE": classes.archive(cluster),
    }
    for name, value in values.items():
        script = script.replace(f"@{name}@", str(value))
    first = cluster.home / "bin" / COMMANDS[0]
    first.write_text(script)
    first.chmod(0o755)
    for other in COMMANDS[1:]:
        os.link(first, first.with_name(other))
