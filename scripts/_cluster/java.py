"""The Java that runs the cluster."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from .errors import ClusterError

# Hadoop 3.4 reflects into java.lang, which Java 17 closes. Serial collector, small heap and the
# first compiler only: ten JVMs share a small machine, and each must start quickly.
OPTIONS = [
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Xshare:auto",
    "-Xlog:disable",  # the JVM's own warnings go to stdout, where tools read answers
    "-Djava.net.preferIPv4Stack=true",
]


def find_home():
    """JAVA_HOME, or the home of the `java` on PATH."""
    home = os.environ.get("JAVA_HOME")
    binary = Path(home, "bin", "java") if home else Path(shutil.which("java") or "")
    if not binary.is_file():
        found = f"JAVA_HOME is {home}, where there is no bin/java" if home else "found none"
        raise ClusterError(
            f"expected Java 11 or later (JAVA_HOME or `java` on PATH) but {found}; install a "
            "JDK, for instance: apt-get install openjdk-17-jdk-headless"
        )
    _check_version(binary)
    return str(binary.resolve().parents[1])


def _check_version(binary):
    said = subprocess.run([binary, "-version"], capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', said)
    if not found or int(found[1]) < 11:
        raise ClusterError(
            f"expected Java 11 or later but {binary} says {said.splitlines()[:1]}; set JAVA_HOME"
        )
