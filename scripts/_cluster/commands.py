"""The command line of scripts/cluster."""

import argparse
import os
import shlex
import sys

from . import daemons, lifecycle, logs, probes, state
from .errors import ClusterError

EXAMPLES = """\
examples:
  scripts/cluster up                        three nodes, ready in under 30 seconds
  eval "$(scripts/cluster env)"             then: hdfs dfs -ls /, yarn node -list, mrjob -r hadoop
  scripts/cluster logs last                 container logs of the latest application
  scripts/cluster down                      stop everything and remove its HDFS
  MRMODEL_CLUSTER_DIR=/tmp/two scripts/cluster up --nodes 2      a second cluster beside it

Exit codes: 0 done; 1 failed, or (status) not all daemons are up; 2 wrong usage.
"""


def main(arguments=None):
    options = _parser().parse_args(arguments)
    folder = state.default_folder()
    try:
        state.check_folder(folder)
        return options.run(folder, options)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cluster: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `logs APP | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="scripts/cluster",
        description="A Hadoop cluster of real daemons on this machine, for development and tests.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    up = _command(commands, "up", run_up, "start it, and wait until it is ready")
    up.add_argument("--nodes", type=_count, help="how many nodes, 1 to 9 (default 3)")
    up.add_argument("--memory", type=int, help="MB that each node offers (default 4096)")
    up.add_argument("--vcores", type=int, help="vcores that each node offers (default 8)")
    down = _command(commands, "down", run_down, "stop it")
    down.add_argument("--keep", action="store_true", help="keep HDFS and ports for the next `up`")
    _command(commands, "status", run_status, "list the daemons; exit 0 when all are up")
    _command(commands, "env", run_env, 'print exports, for eval "$(scripts/cluster env)"')
    show = _command(commands, "logs", run_logs, "print the container logs of an application")
    show.add_argument("app", metavar="APP", help="application_..., job_... or last")
    return parser


def _command(commands, name, run, words):
    command = commands.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
    command.set_defaults(run=run)
    return command


def _count(text):
    if not text.isdigit() or not 1 <= int(text) <= 9:
        raise argparse.ArgumentTypeError(f"expected 1 to 9 but received {text!r}")
    return int(text)


def say(line):
    print(f"cluster: {line}", file=sys.stderr, flush=True)


def run_up(folder, options):
    with state.locked(folder):
        cluster = state.load(folder)
        if lifecycle.is_up(cluster):
            return _already(cluster, options)
        kept = cluster.nodes if cluster.data.exists() else 0
        if kept and options.nodes not in (None, kept):
            raise ClusterError(
                f"{folder} keeps the data of {kept} nodes; run `scripts/cluster down` to remove "
                f"it, or `up --nodes {kept}`"
            )
        cluster.nodes = options.nodes or kept or 3
        cluster.memory = options.memory or 4096
        cluster.vcores = options.vcores or 8
        lifecycle.up(cluster, say)
    _print_pages(cluster)
    return 0


def _already(cluster, options):
    say(f"already running in {cluster.folder} with {cluster.nodes} nodes")
    if options.nodes not in (None, cluster.nodes):
        raise ClusterError(f"to have {options.nodes} nodes, run `scripts/cluster down` first")
    return 0


def _print_pages(cluster):
    for name, url in probes.urls(cluster).items():
        say(f"{name.lower()} page: {url}")
    say('next: eval "$(scripts/cluster env)"')


def run_down(folder, options):
    if not (folder / "state.json").exists() and not (folder / "data").exists():
        say(f"not running in {folder}")
        return 0
    with state.locked(folder):
        cluster = state.load(folder)
        lifecycle.stop(cluster, say)
        if not options.keep:
            lifecycle.remove_data(cluster)
    say("down; HDFS is kept" if options.keep else f"down; logs stay in {cluster.logs}")
    return 0


def run_status(folder, options):
    cluster = state.load(folder)
    if not cluster.daemons:
        print(f"not running in {folder}")
        return 1
    rows = [_row(daemon) for daemon in cluster.daemons]
    _print_table([("DAEMON", "PID", "HOST", "PAGE", "STATE"), *rows])
    for name, words in probes.waiting_for(cluster).items():
        print(f"{name}: {words}")
    return 0 if lifecycle.is_up(cluster) and not probes.waiting_for(cluster) else 1


def _row(daemon):
    up = daemons.alive(daemon)
    words = ("up" if probes.daemon_answers(daemon) else "no answer") if up else "down"
    return daemon.name, str(daemon.pid) if up else "-", daemon.host, daemon.url, words


def _print_table(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def run_env(folder, options):
    cluster = _running(folder)
    exports = {
        "HADOOP_HOME": cluster.home,
        "HADOOP_CONF_DIR": cluster.conf,
        "JAVA_HOME": cluster.java_home,
    }
    for name, value in exports.items():
        print(f"export {name}={shlex.quote(str(value))}")
    print(f'export PATH={shlex.quote(str(cluster.home / "bin"))}:"$PATH"')
    return 0


def run_logs(folder, options):
    return logs.show(_running(folder), options.app)


def _running(folder):
    cluster = state.load(folder)
    if not any(map(daemons.alive, cluster.daemons)):
        raise ClusterError(f"not running in {folder}; start it with: scripts/cluster up")
    return cluster
