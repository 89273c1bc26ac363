"""The state of an optimiser without pickle."""

import json

import pytest
import torch

from mrmodel.training import trees


def there_and_back(value):
    tree, tensors = trees.split(value)
    return trees.join(json.loads(json.dumps(tree)), tensors)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "LBFGS", "Adagrad", "RMSprop"])
def test_optimizers_go_on_to_the_same_bits(name):
    def make():
        torch.manual_seed(1)
        module = torch.nn.Linear(3, 2)
        extra = {"momentum": 0.9} if name == "SGD" else {}
        return module, getattr(torch.optim, name)(module.parameters(), lr=0.1, **extra)

    def steps(module, optimizer, count):
        def closure():
            optimizer.zero_grad()
            loss = module(torch.ones(4, 3)).square().sum()
            loss.backward()
            return loss

        for _ in range(count):
            optimizer.step(closure)

    module, optimizer = make()
    steps(module, optimizer, 2)
    state, weights = there_and_back(optimizer.state_dict()), module.state_dict()
    other, resumed = make()
    other.load_state_dict({name: value.clone() for name, value in weights.items()})
    resumed.load_state_dict(state)
    steps(module, optimizer, 3)
    steps(other, resumed, 3)
    assert torch.equal(module.weight, other.weight)


def test_keys_and_kinds_are_kept():
    value = {0: [1, 2.5, None], "a": (True, "text"), "t": torch.tensor([1, 2])}
    found = there_and_back(value)
    assert torch.equal(found.pop("t"), value.pop("t"))
    assert found == value


def test_code_is_refused():
    with pytest.raises(TypeError, match="received a function"):
        trees.split({"f": there_and_back})
