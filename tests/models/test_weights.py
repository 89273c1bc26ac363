import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from mrmodel.errors import ModelError
from mrmodel.models.weights import hash_weights, load_into, read_state_dict, resolve_weights


@pytest.fixture
def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


def fresh():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


def assert_loads(path, net):
    module = fresh()
    load_into(module, read_state_dict(path), path)
    for key, value in net.state_dict().items():
        torch.testing.assert_close(module.state_dict()[key], value)


def test_safetensors(tmp_path, net):
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    assert_loads(tmp_path / "net.safetensors", net)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
def test_a_state_dict_of_torch_save(tmp_path, net, suffix):
    torch.save(net.state_dict(), tmp_path / f"net{suffix}")
    assert_loads(tmp_path / f"net{suffix}", net)


def test_the_format_of_torch_before_1_6(tmp_path, net):
    torch.save(net.state_dict(), tmp_path / "net.pt", _use_new_zipfile_serialization=False)
    assert_loads(tmp_path / "net.pt", net)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_checkpoints_that_hold_more_are_unwrapped(tmp_path, net, key):
    torch.save({"epoch": 3, key: net.state_dict(), "lr": [0.1]}, tmp_path / "net.pt")
    assert_loads(tmp_path / "net.pt", net)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_taken_off(tmp_path, net, prefix):
    state = {prefix + key: value for key, value in net.state_dict().items()}
    torch.save(state, tmp_path / "net.pt")
    assert_loads(tmp_path / "net.pt", net)


def test_a_prefix_that_the_model_has_itself_stays():
    module = torch.nn.ModuleDict({"module": torch.nn.Linear(2, 2)})
    state = {key: value + 1 for key, value in module.state_dict().items()}
    load_into(module, state, "w")
    torch.testing.assert_close(module["module"].weight.data, state["module.weight"])


def test_a_folder_of_several_safetensors(tmp_path, net):
    state = net.state_dict()
    keys = sorted(state)
    save_file({k: state[k] for k in keys[:3]}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({k: state[k] for k in keys[3:]}, tmp_path / "model-00002-of-00002.safetensors")
    (tmp_path / "config.json").write_text("{}")
    assert_loads(tmp_path, net)


def test_the_index_says_which_files_count(tmp_path, net):
    save_file(net.state_dict(), tmp_path / "a.safetensors")
    save_file({"other": torch.zeros(1)}, tmp_path / "b.safetensors")
    names = dict.fromkeys(net.state_dict(), "a.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert_loads(tmp_path, net)


def test_an_index_may_not_leave_its_folder(tmp_path):
    names = {"x": "../secret.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(ModelError, match="outside its folder"):
        read_state_dict(tmp_path)


def test_a_checkpoint_folder_gives_its_weights_not_its_optimiser(tmp_path, net):
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    save_file({"momentum": torch.zeros(1)}, tmp_path / "optimizer.safetensors")
    assert_loads(tmp_path, net)


def test_a_folder_with_one_pickle(tmp_path, net):
    torch.save(net.state_dict(), tmp_path / "pytorch_model.bin")
    assert_loads(tmp_path, net)


def test_weights_are_mapped_not_copied(tmp_path):
    state = {"weight": torch.ones(1 << 20)}
    save_file(state, tmp_path / "w.safetensors")
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(torch.zeros(1 << 20))
    read = read_state_dict(tmp_path / "w.safetensors")
    load_into(module, read, "w")
    assert module.weight.data_ptr() == read["weight"].data_ptr()


def test_tied_weights_are_stored_once_and_loaded_twice():
    module = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2), "b": torch.nn.Linear(2, 2)})
    module["b"].weight = module["a"].weight
    state = {k: v + 1 for k, v in module.state_dict().items() if k != "b.weight"}
    load_into(module, state, "w")
    torch.testing.assert_close(module["b"].weight, module["a"].weight)
    torch.testing.assert_close(module["b"].weight.data, state["a.weight"])


def test_lazy_layers_take_the_shapes_of_the_file():
    module = torch.nn.LazyLinear(2)
    load_into(module, {"weight": torch.ones(2, 5), "bias": torch.zeros(2)}, "w")
    assert module(torch.ones(1, 5)).tolist() == [[5, 5]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("0.bias"), r"1 missing \(0.bias\)"),
        (lambda s: s.update(extra=torch.zeros(1)), r"1 unexpected \(extra\)"),
        (
            lambda s: s.update({"0.bias": torch.zeros(7)}),
            r"0.bias is \(7,\) in the file and \(4,\) in the model",
        ),
        (lambda s: s.clear(), r"6 missing \(0.weight, .*, …\)"),
    ],
)
def test_weights_of_another_model_are_told(net, change, message):
    state = net.state_dict()
    change(state)
    with pytest.raises(ModelError, match=message):
        load_into(fresh(), state, "w.pt")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def refused(path, proof, message):
    with pytest.raises(ModelError, match=message) as e:
        read_state_dict(path)
    assert not proof.exists()
    assert "\n" not in str(e.value)
    return str(e.value)


@pytest.mark.parametrize("new_format", [True, False])
def test_pickled_code_is_never_run(tmp_path, new_format):
    proof, path = tmp_path / "proof", tmp_path / "net.pt"
    torch.save({"weight": Evil(proof)}, path, _use_new_zipfile_serialization=new_format)
    message = refused(path, proof, "holds pickled code, which mrmodel never runs")
    assert "torch.save(model.state_dict(), 'net.pt')" in message


def test_a_bare_pickle_is_never_run(tmp_path):
    proof, path = tmp_path / "proof", tmp_path / "net.pt"
    path.write_bytes(pickle.dumps(Evil(proof)))
    refused(path, proof, "weights .*net.pt")


def test_a_pickled_module_is_never_run(tmp_path, net):
    torch.save(net, tmp_path / "net.pt")
    refused(tmp_path / "net.pt", tmp_path / "proof", "holds pickled code")


def test_pickled_code_inside_a_folder_is_never_run(tmp_path):
    proof = tmp_path / "proof"
    (tmp_path / "w").mkdir()
    torch.save({"x": Evil(proof)}, tmp_path / "w" / "pytorch_model.bin")
    refused(tmp_path / "w", proof, "holds pickled code")


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "net.pt")
    refused(tmp_path / "net.pt", tmp_path / "proof", "TorchScript program")


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_broken_files_are_named(tmp_path, net, name, damage):
    path = tmp_path / name
    (save_file if name.endswith("tensors") else torch.save)(net.state_dict(), path)
    data = path.read_bytes()
    broken = {"truncated": data[: len(data) // 2], "empty": b"", "text": b"hello" * 9}
    path.write_bytes(broken[damage])
    refused(path, tmp_path / "proof", rf"weights .*{name} cannot be read as")


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, 3])
def test_a_file_without_tensors_is_no_state_dict(tmp_path, value):
    torch.save(value, tmp_path / "net.pt")
    refused(tmp_path / "net.pt", tmp_path / "proof", "expected a state dict")


def test_what_is_not_there_or_not_weights(tmp_path):
    with pytest.raises(ModelError, match="do not exist"):
        read_state_dict(tmp_path / "none.pt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="hold nothing"):
        resolve_weights(tmp_path / "empty")
    (tmp_path / "w.onnx").write_text("x")
    with pytest.raises(ModelError, match="expected .safetensors"):
        read_state_dict(tmp_path / "w.onnx")
    with pytest.raises(ModelError, match="the folder but it holds"):
        read_state_dict(tmp_path)


def test_the_files_of_a_folder_in_order_without_hidden_ones(tmp_path):
    for name in ("b.json", "a/x.txt", ".hidden", ".cache/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    found = resolve_weights(tmp_path)
    assert found.files == (("a/x.txt", 7), ("b.json", 6))
    assert found.nbytes == 13
    assert resolve_weights(tmp_path / "b.json").files == (("b.json", 6),)


def test_the_hash_is_of_contents_and_names(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a").write_text("12")
    (tmp_path / "one" / "b").write_text("3")
    first = hash_weights(tmp_path / "one")
    assert hash_weights(tmp_path / "one") == first
    (tmp_path / "one" / "a").write_text("1")
    (tmp_path / "one" / "b").write_text("23")
    assert hash_weights(tmp_path / "one") != first
    (tmp_path / "two.bin").write_text("x")
    (tmp_path / "three.bin").write_text("x")
    assert hash_weights(tmp_path / "two.bin") == hash_weights(tmp_path / "three.bin")
