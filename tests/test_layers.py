"""Imports go one way: the layers of docs/architecture.md, from the bottom to the top."""

import subprocess
import sys

from tests.source import MODULES, functions, imported, without_types

# a module may import what is on its own line or above
LAYERS = [
    {"errors", "version", "units", "parallel", "users", "specs", "imports", "machine"},
    {"storage", "tensors"},
    {"shards", "formats"},
    {"models"},
    {"metrics", "training"},
    {"tasks"},
    {"jobs"},
    {"runners"},
    {"driver"},
    {"api"},
    {"cli", "__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
# what YARN's nodes have, or are sent
ON_NODES = (
    "specs",
    "storage",
    "tensors",
    "shards",
    "formats",
    "models",
    "metrics",
    "training",
    "tasks",
    "jobs",
)
NOT_ON_NODES = ("click", "rich", "boto3", "botocore")
# where anything may be missing, mrmodel's own requirements too: that is what they look for
DOCTORS = ("mrmodel.driver.checks", "mrmodel.driver.doctor", "mrmodel.jobs.mr_probe")


def room(module):
    """``tasks`` of mrmodel.tasks.run."""
    return module.split(".")[1] if "." in module else ""


def each(rule):
    """What `rule` finds wrong, by module."""
    found = {module: rule(module, tree) for module, tree in MODULES.items() if room(module)}
    return {module: wrong for module, wrong in found.items() if wrong}


def test_every_module_has_a_layer():
    assert {room(module) for module in MODULES} - {""} == set(RANK)


def test_imports_go_down():
    def upwards(module, tree):
        ours = [name for name in imported(tree) if name in MODULES and room(name)]
        return [name for name in ours if RANK[room(name)] > RANK[room(module)]]

    assert each(upwards) == {}


def test_the_package_itself_imports_little():
    """Whatever it imports, every module of it does."""
    ours = {name for name in imported(MODULES["mrmodel"]) if name.startswith("mrmodel")}
    assert ours == {"mrmodel.models.predictor", "mrmodel.version"}


def test_no_cycles():
    """Modules of one layer may import each other, but not in a circle."""
    waiting = {
        module: {n for n in imported(without_types(tree)) if n in MODULES and n != "mrmodel"}
        for module, tree in MODULES.items()
    }
    while waiting:
        free = [
            module for module, needs in waiting.items() if not needs & waiting.keys() - {module}
        ]
        assert free, f"a cycle among {sorted(waiting)}"
        for module in free:
            del waiting[module]


def test_nodes_need_little():
    def heavy(module, tree):
        if room(module) not in ON_NODES:
            return []
        return [name for name in imported(tree) if name.partition(".")[0] in NOT_ON_NODES]

    assert each(heavy) == {}


def test_no_import_hides_in_a_function():
    """They are how cycles are dodged. The commands may, for the speed of --help, and everybody
    may for what is heavy and not ours."""

    def hidden(module, tree):
        if room(module) == "cli" or module.startswith(DOCTORS):
            return []
        names = [name for function in functions(tree) for name in imported(function)]
        return [name for name in names if name.startswith("mrmodel")]

    assert each(hidden) == {}


def test_only_few_modules_know_mrjob():
    """It is unmaintained and may be replaced one day."""
    users = each(lambda module, tree: [n for n in imported(tree) if n.startswith("mrjob")])
    assert {room(module) for module in users} <= {"jobs", "runners"}


def test_what_predicts_does_not_import_what_trains_together():
    """It takes a second of each task: sharded tensors, and a library for algebra."""
    modules = "import sys, mrmodel.driver.predict, mrmodel.driver.evaluate, mrmodel.jobs.mr_train"
    heavy = "{'torch.distributed.tensor', 'torch._dynamo', 'sympy', 'torchmetrics', 'boto3'}"
    code = f"{modules}; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_reducers_do_without_torch():
    """It takes a second of each; those of metrics have to merge tensors."""
    jobs = "mrmodel.jobs.mr_train:MRGradient", "mrmodel.jobs.mr_aggregate:MRAggregate"
    code = f"""
import sys
from mrmodel.jobs.mr_predict import load_dotted
import mrmodel.tasks.reduce
for job in {jobs}:
    load_dotted(load_dotted(job).REDUCE)
print("torch" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_driver_of_a_clusters_job_does_without_torch():
    """It takes a second before the job is submitted, or after it has ended."""
    code = """
import sys
import mrmodel.driver.aggregate, mrmodel.driver.progress, mrmodel.runners.hadoop
import mrmodel.driver.measures, mrmodel.driver.summary, mrmodel.runners.streaming
print("torch" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
