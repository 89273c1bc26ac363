import contextlib
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.export import Dim

from mrmodel.errors import ModelError
from mrmodel.models.exported import read_exported
from mrmodel.models.loading import load_predictor
from mrmodel.models.reference import exported_inputs


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(3, 2)

    def forward(self, x):
        return self.linear(x)


class Two(torch.nn.Module):
    def forward(self, ids, mask):
        return {"sum": (ids * mask).sum(1), "ids": ids}


def export(path, module, args, dynamic=None, kwargs=None):
    program = torch.export.export(module, args, kwargs, dynamic_shapes=dynamic)
    torch.export.save(program, path)
    return str(path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    rows = {0: Dim("rows")}
    ids = torch.ones(4, 5, dtype=torch.int64)
    return {
        "static": export(folder / "static.pt2", Net(), (torch.zeros(4, 3),)),
        "dynamic": export(folder / "dynamic.pt2", Net(), (torch.zeros(4, 3),), {"x": rows}),
        "bounded": export(
            folder / "bounded.pt2", Net(), (torch.zeros(4, 3),), {"x": {0: Dim("b", min=3, max=5)}}
        ),
        "two": export(
            folder / "two.pt2", Two(), (ids,), {"ids": rows, "mask": rows}, {"mask": ids.clone()}
        ),
    }


def run(predictor, **columns):
    with torch.inference_mode():
        return predictor.predict(predictor.prepare(columns))


@pytest.mark.parametrize("name", ["static", "dynamic", "bounded"])
@pytest.mark.parametrize("rows", [1, 3, 4, 7, 11])
def test_any_number_of_rows_gives_what_the_module_gives(exported, name, rows):
    x = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
    predictor = load_predictor(exported[name], inputs=["features"], device="cpu")
    output = run(predictor, features=x)["output"]
    with torch.inference_mode():
        torch.testing.assert_close(output, Net()(torch.from_numpy(x)))


def test_the_batch_size_that_a_program_wants(exported):
    assert load_predictor(exported["static"]).batch_size == 4
    assert load_predictor(exported["dynamic"]).batch_size is None
    bounded = load_predictor(exported["bounded"])
    assert (bounded.batch_size, bounded.smallest, bounded.largest) == (None, 3, 5)


def test_number_columns_become_its_one_tensor(exported):
    predictor = load_predictor(exported["dynamic"], inputs=["a", "b", "c"])
    assert predictor.inputs == ["a", "b", "c"]
    output = run(predictor, a=np.ones(2), b=np.zeros(2), c=np.zeros(2, dtype=np.int64))["output"]
    with torch.inference_mode():
        torch.testing.assert_close(output, Net()(torch.tensor([[1.0, 0, 0]] * 2)))


def test_several_inputs_take_a_column_each_by_name_or_in_order(exported):
    ids, mask = np.array([[1, 2, 3, 4, 5]]), np.array([[1, 1, 0, 0, 0]])
    by_name = load_predictor(exported["two"], inputs=["mask", "ids"])
    assert by_name.inputs == ["ids", "mask"]
    assert run(by_name, mask=mask, ids=ids)["sum"].tolist() == [3]
    in_order = load_predictor(exported["two"], inputs=["tokens", "m"])
    assert run(in_order, tokens=ids, m=mask)["sum"].tolist() == [3]
    assert load_predictor(exported["two"]).inputs == ["ids", "mask"]
    with pytest.raises(ModelError, match="2 inputs.*names 1 columns"):
        load_predictor(exported["two"], inputs=["ids"])


def test_weights_replace_those_of_the_file(exported, tmp_path):
    weights = tmp_path / "w.safetensors"
    save_file({"linear.weight": torch.ones(2, 3), "linear.bias": torch.zeros(2)}, weights)
    predictor = load_predictor(exported["dynamic"], weights=weights, inputs=["x"])
    assert run(predictor, x=np.ones((1, 3)))["output"].tolist() == [[3, 3]]


def test_its_inputs_are_known_without_torch(exported, tmp_path):
    assert exported_inputs(exported["two"]) == ("ids", "mask")
    assert exported_inputs(exported["static"]) == ("x",)
    assert exported_inputs(tmp_path / "none.pt2") is None


def test_a_file_that_was_shipped_as_weights_is_the_program(exported):
    predictor = load_predictor("/elsewhere/net.pt2", weights=exported["static"], inputs=["x"])
    assert predictor.batch_size == 4


def test_what_a_file_cannot_change(exported):
    with pytest.raises(ModelError, match="takes no model args"):
        load_predictor(exported["static"], model_args={"x": 1})
    with pytest.raises(ModelError, match="--dtype does not change"):
        load_predictor(exported["static"], dtype="float16")


def test_files_that_are_none(tmp_path, exported):
    path = tmp_path / "x.pt2"
    with pytest.raises(ModelError, match="does not exist"):
        load_predictor(str(path))
    for data in (b"", b"text", Path(exported["static"]).read_bytes()[:3000]):
        path.write_bytes(data)
        with pytest.raises(ModelError, match="no torch.export file"):
            load_predictor(str(path))
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="holds no program"):
        load_predictor(str(path))


class Everything(torch.nn.Module):
    """Many kinds of shapes, guards, names and containers, to see that the check lets them pass."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(8, 8)])
        self.table = torch.nn.ParameterDict({"a-b": torch.nn.Parameter(torch.ones(8))})
        self.register_buffer("count", torch.ones(8, dtype=torch.int64))
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x, *, mask):
        h = self.layers[0](x) * self.table["a-b"] + self.count
        mask = mask & (mask | mask)
        h, _ = self.attention(h, h, h, key_padding_mask=mask, need_weights=False)
        half = h[:, : h.shape[1] // 2]
        picked = torch.cond(x.sum() > 0, lambda t: t * 2, lambda t: t + 1, (half.sum((1, 2)),))
        pair = torch.cat([h, h], 1).view(h.shape[0], h.shape[1] * 2, 8)
        return {"p q": picked, "nested": (pair.mean((1, 2)), torch.tensor([1.0]) + h.amax((1, 2)))}


def test_ordinary_programs_pass_the_check(tmp_path):
    rows, length = Dim("rows"), Dim("length", min=4, max=64)
    shapes = {"x": {0: rows, 1: 2 * length}, "mask": {0: rows, 1: 2 * length}}
    args, kwargs = (torch.randn(4, 12, 8),), {"mask": torch.zeros(4, 12, dtype=torch.bool)}
    path = export(tmp_path / "e.pt2", Everything().eval(), args, shapes, kwargs)
    assert "p q" in load_predictor(path, inputs=["x", "mask"]).module(*args, **kwargs)


def test_a_transformer_passes_the_check(tmp_path):
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    module = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    shapes = {"src": {0: Dim("rows"), 1: Dim("length", max=128)}}
    path = export(tmp_path / "t.pt2", module, (torch.randn(3, 7, 16),), shapes)
    read_exported(tmp_path / path)


# ---- attacks: nothing that a file carries may run -------------------------------------------


SAMPLES = "data/sample_inputs/model.pt"


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def rewritten(source, target, change):
    """A copy of a .pt2 file whose members (a dict of name → bytes) went through `change`."""
    with zipfile.ZipFile(source) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(members)
    members.pop(".data/serialization_id", None)
    writer = torch._C.PyTorchFileWriter(str(target))
    for name, data in members.items():
        if name not in (".data/version", "byteorder"):
            writer.write_record(name, data, len(data))
    writer.write_end_of_file()
    return target


def program_of(members):
    return json.loads(members["models/model.json"])


def torch_pickle(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def refused(path, proof, message="pickled code|could run code|compiled code"):
    with pytest.raises(ModelError, match=message) as e:
        load_predictor(str(path), inputs=["x"])
    assert not proof.exists()
    assert "\n" not in str(e.value)


@pytest.fixture
def attack(tmp_path, exported):
    """attack(change): a file made by `change(members, proof)` must be refused, nothing run."""

    def run(change, message="pickled code|could run code|compiled code"):
        proof, target = tmp_path / "proof", tmp_path / "evil.pt2"
        rewritten(exported["dynamic"], target, lambda members: change(members, proof))
        refused(target, proof, message)

    return run


def test_a_rewritten_file_still_loads(tmp_path, exported):
    target = rewritten(exported["dynamic"], tmp_path / "same.pt2", lambda members: None)
    assert load_predictor(str(target), inputs=["x"]).batch_size is None


def test_the_attack_would_work_without_the_check(tmp_path, exported):
    """Otherwise the tests below prove nothing."""
    proof, target = tmp_path / "proof", tmp_path / "evil.pt2"
    evil = torch_pickle((Evil(proof),))
    rewritten(exported["dynamic"], target, lambda m: m.update({SAMPLES: evil}))
    with contextlib.suppress(Exception):  # torch trips over what the pickle gave
        torch.export.load(target)
    assert proof.exists()


def test_sample_inputs_are_not_unpickled(attack):
    attack(
        lambda m, proof: m.update({SAMPLES: torch_pickle((Evil(proof),))}),
        "could not be read: UnpicklingError",
    )


@pytest.mark.parametrize("kind", ["weights", "constants"])
def test_tables_of_the_older_format_are_not_unpickled(attack, kind):
    attack(
        lambda m, proof: m.update({f"data/{kind}/model.pt": torch_pickle({"x": Evil(proof)})}),
        "could not be read: UnpicklingError",
    )


def payload(kind, entry, file):
    def change(members, proof):
        name = f"data/{kind}/model_{kind}_config.json"
        config = json.loads(members[name])
        config["config"]["evil"] = {"is_param": False, "tensor_meta": None, **entry}
        members[name] = json.dumps(config).encode()
        data = pickle.dumps(Evil(proof)) if "opaque" in file else torch_pickle(Evil(proof))
        members[f"data/{kind}/{file}"] = data

    return change


@pytest.mark.parametrize("kind", ["weights", "constants"])
def test_pickled_tensors_are_refused(attack, kind):
    file = "weight_9" if kind == "weights" else "tensor_9"
    attack(payload(kind, {"path_name": file, "use_pickle": True}, file), "pickled code")


@pytest.mark.parametrize("file", ["custom_obj_0", "opaque_obj_0"])
def test_pickled_objects_are_refused(attack, file):
    attack(payload("constants", {"path_name": file, "use_pickle": True}, file), "pickled code")
    attack(payload("constants", {"path_name": file, "use_pickle": False}, file), "pickled code")


def test_native_code_is_refused(attack):
    attack(lambda m, _: m.update({"data/aotinductor/model/x.so": b"\x7fELF"}), "compiled code")


def edit(change):
    def run(members, proof):
        program = program_of(members)
        change(program, f"__import__('os').system('touch {proof}')")
        members["models/model.json"] = json.dumps(program).encode()

    return run


def set_shape(program, text):
    values = program["graph_module"]["graph"]["tensor_values"]
    values["x"]["sizes"][0] = {"as_expr": {"expr_str": text, "hint": {"as_int": 4}}}


def set_guard(program, text):
    program["guards_code"] = [text]


def set_target(program, text):
    program["graph_module"]["graph"]["nodes"][0]["target"] = text


def set_operator_argument(program, text):
    argument = {"name": "", "arg": {"as_operator": text}, "kind": 1}
    program["graph_module"]["graph"]["nodes"][0]["inputs"].append(argument)


def set_argument_name(program, text):
    signature = program["graph_module"]["module_call_graph"][0]["signature"]
    signature["forward_arg_names"] = [text]


def set_input_name(program, text):
    whole = json.dumps(program).replace('"x"', json.dumps(text))
    program.clear()
    program.update(json.loads(whole))


def set_spec(context, kind="builtins.dict"):
    def change(program, code):
        signature = program["graph_module"]["module_call_graph"][0]["signature"]
        leaf = {"type": None, "context": None, "children_spec": []}
        text = context.replace("CODE", code) if isinstance(context, str) else context
        tree = {"type": kind, "context": text, "children_spec": [leaf]}
        signature["in_spec"] = json.dumps([1, tree])

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_shape,
        lambda p, code: set_shape(p, f"Max(4, {code})"),
        lambda p, code: set_shape(p, f"lambdify(x, {code!r})"),
        lambda p, code: set_shape(p, f"Symbol({code!r})"),
        lambda p, code: set_shape(p, "Symbol.__class__"),
        lambda p, code: set_shape(p, "[c for c in ().__class__.__base__.__subclasses__()]"),
        set_guard,
        lambda p, code: set_guard(p, f"L['x'].size()[0] > 0 or {code}"),
        lambda p, code: set_guard(p, f"L['x'].size()[0] > 0, ''); {code} #"),
        lambda p, code: set_guard(p, "L['x'].__class__"),
        lambda p, code: set_guard(p, "exec(L['x'])"),
        set_argument_name,
        lambda p, code: set_argument_name(p, f"x={code}"),
        set_input_name,
        lambda p, code: set_input_name(p, "x, y=print(1)"),
        lambda p, code: set_target(p, "torch.os.system"),
        lambda p, code: set_target(p, "torch.ops.load_library"),
        lambda p, code: set_target(p, "torch.load"),
        lambda p, code: set_target(p, "torch.ops.higher_order.run_and_save_rng_state"),
        lambda p, code: set_operator_argument(p, "torch.os.system"),
        lambda p, code: set_target(p, "torch.ops.aten.from_file.default"),
        lambda p, code: set_target(p, "torch.ops.aten.linear.default.__class__"),
        lambda p, code: set_target(p, "torch.ops.aten.__class__.mro"),
        lambda p, code: set_target(p, "_operator.attrgetter"),
        lambda p, code: set_target(p, "_operator.call"),
        set_spec('["CODE"]'),
        set_spec('["x=print(1)"]'),
        set_spec('{"__enum__": true, "fqn": "antigravity:x", "name": "x"}'),
        set_spec('[{"\\u005f_enum__": true, "fqn": "antigravity:x", "name": "x"}]'),
        set_spec(
            {"default_factory_module": "antigravity", "default_factory_name": "x"},
            "collections.defaultdict",
        ),
    ],
)
def test_a_program_that_torch_would_evaluate_is_refused(attack, change):
    attack(edit(change), "could run code")


@pytest.mark.parametrize(
    "name", ["another.json", "a_config.json", "another.txt", "x/y_config.json"]
)
def test_a_second_program_under_another_name_is_checked_too(attack, name):
    def change(members, proof):
        program = program_of(members)
        set_shape(program, f"__import__('os').system('touch {proof}')")
        members[f"models/{name}"] = json.dumps(program).encode()

    attack(change)


def test_a_program_of_both_formats_is_checked_in_both(exported, tmp_path):
    """The older reader looks at the root of the zip, where the newer one does not."""
    proof, target = tmp_path / "proof", tmp_path / "both.pt2"
    target.write_bytes(Path(exported["dynamic"]).read_bytes())
    program = {"expr_str": f"__import__('os').system('touch {proof}')"}
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("version", "8.8")
        archive.writestr("serialized_exported_program.json", json.dumps(program))
    refused(target, proof)


def test_the_format_before_torch_2_8_is_checked_too(tmp_path):
    proof = tmp_path / "proof"
    program = {"expr_str": f"__import__('os').system('touch {proof}')"}
    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:
        archive.writestr("version", "8.8")
        archive.writestr("serialized_exported_program.json", json.dumps(program))
        archive.writestr("serialized_state_dict.pt", torch_pickle({"x": Evil(proof)}))
    refused(tmp_path / "old.pt2", proof)


def test_members_of_the_format_before_torch_2_8_are_not_unpickled(tmp_path, exported):
    proof = tmp_path / "proof"
    with zipfile.ZipFile(exported["dynamic"]) as archive:
        program = archive.read("dynamic/models/model.json")
    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:
        archive.writestr("version", "8.8")
        archive.writestr("serialized_exported_program.json", program)
        archive.writestr("serialized_state_dict.pt", torch_pickle({"x": Evil(proof)}))
        archive.writestr("serialized_constants.pt", torch_pickle({"x": Evil(proof)}))
        archive.writestr("serialized_example_inputs.pt", torch_pickle((Evil(proof),)))
    refused(tmp_path / "old.pt2", proof, "could not be read")
