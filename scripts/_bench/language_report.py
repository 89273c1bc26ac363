"""What came of ``scripts/bench language``: a table, and both curves as a picture."""

from __future__ import annotations

import math
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .report import markdown

if TYPE_CHECKING:
    from .language import Results, Trained

MOST_LOSS, LEAST_BYTES = 1.02, 100
NAMES = {"allreduce": "synchronous, --sync allreduce", "local": "local steps, --sync local"}
LOOKS = {
    "allreduce": {"color": "#555555", "marker": "o"},
    "local": {"color": "#c23b22", "marker": "."},
}


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def table(results: Results) -> str:
    """Both ways of training beside each other, as Markdown."""
    gang, local = results.trained["allreduce"], results.trained["local"]
    setting, each = results.setting, results.bytes_per_token
    shards, steps = setting["shards"], setting["rounds"] * setting["inner_steps"]
    warm = setting["warm_epochs"] * setting["rows"] // setting["batch"]
    rounds = (steps - warm) // setting["inner_steps"]
    # a ring sends and receives all but its own part twice; a round sends the way and reads weights
    weights = 4 * results.parameters
    ring, star = 2 * weights * (shards - 1) / shards * steps, 2 * weights * rounds
    loss = local.curve[-1][1] / gang.curve[-1][1]
    rows = [
        ["", NAMES["allreduce"], NAMES["local"], "ratio"],
        ["validation loss at the end", *_each(results, lambda t: f"{t.curve[-1][1]:.4f}"),
         f"{loss:.4f} (goal: at most {MOST_LOSS}: {_reached(loss <= MOST_LOSS)})"],
        ["the lowest on the way", *_each(results, lambda t: f"{_lowest(t):.4f}"),
         f"{_lowest(local) / _lowest(gang):.4f}"],
        ["the last in bits per byte",
         *_each(results, lambda t: f"{t.curve[-1][1] / math.log(2) / each:.4f}"), ""],
        ["tokens", f"{results.tokens:,}", f"{results.tokens:,}", "1"],
        ["exchanges", f"{steps:,} steps", f"{rounds:,} rounds", f"{steps / rounds:,.1f}"],
        [f"bytes that {shards} workers contribute", *_each(results, lambda t: f"{t.nbytes:,}"),
         _bytes_told(gang.nbytes / local.nbytes)],
        ["bytes that one sends and receives", f"{ring:,.0f}", f"{star:,.0f}",
         _bytes_told(ring / star)],
        ["seconds", *_each(results, lambda t: f"{t.seconds:,.0f}"), ""],
    ]  # fmt: skip
    return markdown(rows)


def _each(results: Results, cell: Any) -> list[str]:
    return [cell(results.trained[name]) for name in NAMES]


def _lowest(trained: Trained) -> float:
    return min(loss for _, loss in trained.curve)


def _bytes_told(ratio: float) -> str:
    reached = _reached(ratio >= LEAST_BYTES)
    return f"{ratio:,.1f} (goal: at least {LEAST_BYTES}: {reached})"


def _reached(is_reached: bool) -> str:
    return "reached" if is_reached else "not reached"


def told(results: Results) -> str:
    """What was compared, in a line."""
    s = results.setting
    epochs = s["rounds"] * s["inner_steps"] * s["batch"] // s["rows"]
    warm = f", after {s['warm_epochs']} epochs of one worker" if s["warm_epochs"] else ""
    model, outer = s["model"], s["outer"]
    return (
        f"{results.parameters:,} parameters, {s['shards']} shards of {s['rows']:,} windows of "
        f"{s['context']} tokens, {epochs} epochs, rounds of {s['inner_steps']} inner "
        f"steps{warm}; a step has {s['shards']} × {s['batch']} windows; dropout "
        f"{model['dropout']:g}; learning rate {model['lr']:g}, inner {s['inner_lr']:g}, outer "
        f"{outer['lr']:g} with momentum {outer['momentum']:g}; seed {s['seed']}, device "
        f"{s['device']}"
    )


def plot(results: Results, path: Path) -> None:
    """Both validation curves over tokens as the SVG file `path`."""
    import matplotlib

    matplotlib.use("svg")
    # the same picture of the same figures, to the byte
    matplotlib.rcParams.update({"svg.hashsalt": "mrmodel", "font.size": 9})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for name, label in NAMES.items():
        tokens, losses = zip(*results.trained[name].curve, strict=True)
        millions = [count / 1e6 for count in tokens]
        axes.plot(millions, losses, label=label, linewidth=1.2, markersize=4, **LOOKS[name])
    axes.set_xlabel("million tokens")
    axes.set_ylabel("validation loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def can_plot() -> bool:
    """Whether there is what plots."""
    return find_spec("matplotlib") is not None
