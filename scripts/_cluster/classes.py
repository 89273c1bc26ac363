"""Hadoop's classes as a JVM has them in memory, in a file that the JVMs of the cluster map.

Loading classes is most of what a small job costs: an application master needs ten thousand of them.
Java calls the file a CDS archive (class-data sharing, JEP 310). It fits one build of Java and one
class path, of which it has to be the beginning: tasks are given Hadoop before their own folder.
"""

import hashlib
import os
import subprocess
import tempfile
import zipfile
from pathlib import Path

from . import java

JOB_SECONDS = 120
DUMP_SECONDS = 120
TAIL = 300  # characters
ADMIN_OPTIONS = {
    "yarn.app.mapreduce.am.admin-command-opts": "master",
    "mapreduce.admin.map.child.java.opts": "map",
    "mapreduce.admin.reduce.child.java.opts": "reduce",
}


def archive(cluster):
    """The file; it may not be there."""
    release = Path(cluster.java_home, "release")
    build = hashlib.sha256(release.read_bytes()).hexdigest()[:8] if release.exists() else "java"
    return Path(cluster.dist) / f"classes-{build}.jsa"


def options(cluster):
    """What the JVMs of jobs are started with; without the file they load their classes."""
    jar = all_jars(cluster.dist)
    return f"-XX:SharedArchiveFile={archive(cluster)} -Xlog:disable -cp {jar}:$CLASSPATH"


def all_jars(dist):
    """One jar that stands for those of the download `dist`: it names them and holds nothing. YARN
    tells of a killed task with its whole command line, and keeps only the last of its words."""
    return Path(dist) / "hadoop.jar"


def write_all_jars(dist):
    """Make that jar, once: an archive fits one that has not changed."""
    target, beside = all_jars(dist), all_jars(dist).with_suffix(f".{os.getpid()}")
    if target.exists():
        return
    names = " ".join(f"lib/{path.name}" for path in sorted((Path(dist) / "lib").glob("*.jar")))
    line = f"Class-Path: {names}"
    # no line has more than 72 bytes; one that goes on begins with a blank
    parts = [line[:70], *(f" {line[i : i + 69]}" for i in range(70, len(line), 69))]
    with zipfile.ZipFile(beside, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "\r\n".join(["Manifest-Version: 1.0", *parts, "", ""]))
    beside.rename(target)


def keep(cluster, say):
    """Make the file, once per download: run a job whose JVMs tell what classes they load.

    Without it everything works as well.
    """
    if archive(cluster).exists():
        return
    say("keeping Hadoop's classes in memory's form (once, half a minute; jobs start quicker)")
    try:
        with tempfile.TemporaryDirectory(prefix="classes-", dir=cluster.dist) as folder:
            _run_job(cluster, Path(folder))
            _dump(cluster, Path(folder))
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stdout", None) or b""
        last = said.decode(errors="replace").strip().splitlines()[-1:] or [type(error).__name__]
        say(f"that failed, which does no harm: {last[0][:TAIL]}")


def _run_job(cluster, folder):
    """A job of a map and a reduce; each JVM writes a list of its classes into `folder`."""
    (folder / "line").write_text("one line\n")
    there = f"/tmp/{folder.name}"
    _hadoop(cluster, folder, "fs", "-mkdir", "-p", f"{there}/in")
    _hadoop(cluster, folder, "fs", "-put", folder / "line", f"{there}/in")
    jar = next((cluster.home / "share/hadoop/tools/lib").glob("hadoop-streaming-*.jar"))
    heap = {f"mapreduce.{kind}.java.opts": "-Xmx128m" for kind in ("map", "reduce")}
    told = {
        name: f"--add-opens=java.base/java.lang=ALL-UNNAMED {_tell(folder, kind)}"
        for name, kind in ADMIN_OPTIONS.items()
    }
    defined = [word for pair in {**heap, **told}.items() for word in ("-D", "=".join(pair))]
    files = ["-input", f"{there}/in", "-output", f"{there}/out"]
    work = ["-mapper", "cat", "-reducer", "cat"]
    _hadoop(cluster, folder, "jar", jar, "-D", "mapreduce.job.reduces=1", *defined, *files, *work)
    _hadoop(cluster, folder, "fs", "-rm", "-r", "-skipTrash", there)


def _tell(folder, kind):
    """The option that has a JVM write the list."""
    return f"-XX:DumpLoadedClassList={folder}/{kind}.list"


def _hadoop(cluster, folder, *words):
    env = {"HADOOP_CLIENT_OPTS": _tell(folder, f"client-{words[0]}"), "PATH": os.defpath}
    _run([cluster.home / "bin" / "hadoop", *words], JOB_SECONDS, env)


def _run(command, seconds, env=None):
    """Raises CalledProcessError, with all that was said, and TimeoutExpired."""
    subprocess.run(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
        check=True,
    )  # fmt: skip


def _dump(cluster, folder):
    """Of all lists in `folder`, the file: complete, or none."""
    names = {}
    for path in sorted(folder.glob("*.list")):
        # YARN kills an application master that takes its time to end: in the middle of a line
        complete, _, _ = path.read_text().rpartition("\n")
        names |= dict.fromkeys(complete.splitlines())
    listed = folder / "all"
    # those of class loaders of their own cannot be kept
    listed.write_text("".join(f"{name}\n" for name in names if "source:" not in name))
    command = [
        f"{cluster.java_home}/bin/java", *java.OPTIONS, "-Xlog:all=error:stdout", "-Xshare:dump",
        f"-XX:SharedClassListFile={listed}", f"-XX:SharedArchiveFile={folder}/archive",
        "-cp", all_jars(cluster.dist),
    ]  # fmt: skip
    _run(command, DUMP_SECONDS)
    (folder / "archive").rename(archive(cluster))
