"""mrjob's inline runner: one task, in this process."""

from __future__ import annotations

from mrjob.inline import InlineMRJobRunner

from mrmodel.runners.sim import OneTaskPerFile, SimLauncher


class InlineRunner(OneTaskPerFile, InlineMRJobRunner):
    """Inline, one task per manifest."""


class InlineLauncher(SimLauncher):
    """All shards in one task in this process, with all its cores for torch."""

    name = "inline"
