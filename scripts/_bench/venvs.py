"""A virtual environment for each rival, made once and kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mrmodel.users import cache_folder

REQUIREMENTS = Path(__file__).parent / "rivals" / "requirements"
# written last: a folder without it was left half-made
MARKER = "made-by-mrmodel-bench.json"


@dataclass(frozen=True)
class Environment:
    """An interpreter that has what a rival needs, and the `versions` of its packages."""

    python: str
    versions: dict[str, str]


class InstallFailed(Exception):
    """An environment could not be made; the message is pip's last line."""


def default_folder() -> Path:
    """Where environments are kept from one run to the next."""
    return cache_folder() / "bench"


def environment(name: str, folder: Path, python: str = sys.executable) -> Environment:
    """The environment `name` below `folder`; made with `python` if it is not there, not whole, or
    made from other requirements.

    Raises InstallFailed.
    """
    wanted = (REQUIREMENTS / f"{name}.txt").read_text("utf-8")
    root = folder / name
    found = _finished(root, wanted)
    return found or _make(root, name, wanted, python)


def _finished(root: Path, wanted: str) -> Environment | None:
    try:
        told = json.loads((root / MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if told["requirements"] != wanted:
        return None
    return Environment(_python(root), told["versions"])


def _make(root: Path, name: str, wanted: str, python: str) -> Environment:
    if root.exists():
        shutil.rmtree(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    _call([python, "-m", "venv", str(root)])
    pip = [_python(root), "-m", "pip", "--disable-pip-version-check"]
    _call([*pip, "install", "--quiet", "-r", str(REQUIREMENTS / f"{name}.txt")])
    listed = json.loads(_call([*pip, "list", "--format", "json"]))
    versions = {package["name"].lower(): package["version"] for package in listed}
    marker = json.dumps({"requirements": wanted, "versions": versions}, indent=2) + "\n"
    (root / MARKER).write_text(marker, "utf-8")
    return Environment(_python(root), versions)


def _python(root: Path) -> str:
    return str(root / "bin" / "python")


def _call(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise InstallFailed(lines[-1] if lines else f"exit code {done.returncode}")
    return done.stdout
