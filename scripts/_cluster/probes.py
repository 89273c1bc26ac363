"""Is it ready? Asked over HTTP, which costs no JVM."""

import json
import urllib.parse
import urllib.request

from . import configuration

SECONDS = 5
# never through a proxy that the environment may name
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url, method="GET"):
    """The JSON at `url`; {} when nobody answers, or not with JSON."""
    try:
        request = urllib.request.Request(url, method=method)
        with _OPENER.open(request, timeout=SECONDS) as reply:
            return json.loads(reply.read() or b"{}")
    except (OSError, ValueError):
        return {}


def urls(cluster):
    ports = configuration.master_ports(cluster)
    return {
        name: f"http://127.0.0.1:{ports[name + '_HTTP']}"
        for name in ("NAMENODE", "RESOURCEMANAGER", "HISTORY")
    }


def waiting_for(cluster):
    """What is not ready yet, as {kind of daemon: words}; empty when the cluster is."""
    waits = {**_hdfs(cluster), **_yarn(cluster)}
    if "historyInfo" not in get(urls(cluster)["HISTORY"] + "/ws/v1/history/info"):
        waits["historyserver"] = "no answer"
    return waits


def no_answer(cluster):
    """Is there a NameNode that knows its files?"""
    return {} if _name_system(cluster) else {"namenode": "no answer"}


def safe_mode(cluster):
    """A NameNode with files waits for the blocks to be reported."""
    operational = _name_system(cluster).get("FSState") == "Operational"
    return {} if operational else {"namenode": "in safe mode"}


def _hdfs(cluster):
    live = _name_system(cluster).get("NumLiveDataNodes", 0)
    waits = no_answer(cluster) or safe_mode(cluster)
    if live < cluster.nodes:
        waits["datanode"] = f"{live} of {cluster.nodes} live"
    return waits


def _name_system(cluster):
    query = "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
    beans = get(urls(cluster)["NAMENODE"] + query).get("beans")
    return beans[0] if beans else {}


def _yarn(cluster):
    metrics = get(urls(cluster)["RESOURCEMANAGER"] + "/ws/v1/cluster/metrics")
    if not metrics:
        return {"resourcemanager": "no answer"}
    running = metrics["clusterMetrics"]["activeNodes"]
    if running < cluster.nodes:
        return {"nodemanager": f"{running} of {cluster.nodes} running"}
    return {}


def daemon_answers(daemon):
    """True when the daemon's own page answers."""
    try:
        with _OPENER.open(daemon.url + "/jmx?qry=none", timeout=SECONDS):
            return True
    except OSError:
        return False


def make_folder(cluster, path, mode, user):
    """mkdir -p, with this mode whatever the umask says; False when HDFS did not do it."""
    base = urls(cluster)["NAMENODE"] + "/webhdfs/v1" + urllib.parse.quote(path)
    asked = urllib.parse.urlencode({"permission": mode, "user.name": user})
    made = get(f"{base}?op=MKDIRS&{asked}", method="PUT").get("boolean", False)
    if made:
        get(f"{base}?op=SETPERMISSION&{asked}", method="PUT")
    return made


def application(cluster, name):
    """What the ResourceManager knows about the application; {} when nothing."""
    found = get(urls(cluster)["RESOURCEMANAGER"] + f"/ws/v1/cluster/apps/{name}")
    return found.get("app", {})


def applications(cluster):
    found = get(urls(cluster)["RESOURCEMANAGER"] + "/ws/v1/cluster/apps")
    return (found.get("apps") or {}).get("app", [])
