"""Is it ready? Asked over HTTP, which costs no JVM."""

import json
import urllib.parse
import urllib.request

from . import configuration

SECONDS = 5
# never through a proxy that the environment may name
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url, method="GET"):
    """The JSON at `url`; {} when nobody answers or the answer is not JSON."""
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
    """What is not ready yet, as {daemon name: words}; empty when the cluster is."""
    waits = {}
    waits.update(_hdfs(cluster))
    waits.update(_yarn(cluster))
    if "historyInfo" not in get(urls(cluster)["HISTORY"] + "/ws/v1/history/info"):
        waits["historyserver"] = "no answer"
    return waits


def _hdfs(cluster):
    query = "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
    beans = get(urls(cluster)["NAMENODE"] + query).get("beans")
    if not beans:
        return {"namenode": "no answer"}
    live = beans[0]["NumLiveDataNodes"]
    if live < cluster.nodes:
        return {"datanode": f"{live} of {cluster.nodes} live"}
    if beans[0]["FSState"] != "Operational":
        return {"namenode": "in safe mode"}
    return {}


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
    """mkdir -p, with this mode whatever the umask says."""
    base = urls(cluster)["NAMENODE"] + "/webhdfs/v1" + urllib.parse.quote(path)
    for operation in ("MKDIRS", "SETPERMISSION"):
        asked = {"op": operation, "permission": mode, "user.name": user}
        get(f"{base}?{urllib.parse.urlencode(asked)}", method="PUT")


def application(cluster, name):
    """What the ResourceManager knows about the application; {} when nothing."""
    found = get(urls(cluster)["RESOURCEMANAGER"] + f"/ws/v1/cluster/apps/{name}")
    return found.get("app", {})


def applications(cluster):
    found = get(urls(cluster)["RESOURCEMANAGER"] + "/ws/v1/cluster/apps")
    return (found.get("apps") or {}).get("app", [])
