"""A network in memory: its copy is another one, and whatever the program around it has stays as it was."""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from generator.base.errors import InputError
from generator.config.schema import InputConfig, ModelConfig
from generator.networks import in_memory
from generator.networks.catalogue import RESTLESS
from generator.networks.outputs import outputs

WANTED = ModelConfig("net", "memory", input=InputConfig(size=(8, 8), channels=3))


class Net(nn.Module):
    """Answers by a number that is no tensor, too."""

    shift: Tensor

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.conv, self.norm, self.drop, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Linear(4, 2)
        self.register_buffer("shift", torch.zeros(1), persistent=False)
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.fc(self.drop(self.norm(self.conv(images)).amax((2, 3)))) * self.factor + self.shift
        return found


class Fixed(nn.Module):
    """Has nothing that is learnt: the brightness of each channel."""

    by: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("by", torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = images.mean((2, 3)) * self.by
        return found


def read(model: Any, wanted: ModelConfig = WANTED) -> in_memory.InMemory:
    return in_memory.in_memory(model, wanted, None)


def seeded(factor: float = 1.0) -> Net:
    torch.manual_seed(0)
    return Net(factor)


def test_the_copy_is_in_eval_mode_and_the_network_keeps_all_that_it_has() -> None:
    net = seeded().train()
    net.norm.eval()
    net.fc.weight.requires_grad = False
    net(torch.rand(4, 3, 8, 8)).sum().backward()
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    grads = [None if each.grad is None else each.grad.clone() for each in net.parameters()]
    found = read(net).network
    found(torch.rand(4, 3, 8, 8)).sum().backward()
    assert not any(module.training for module in found.modules())
    assert [module.training for module in net.modules()] == [True, True, False, True, True]
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert [each.requires_grad for each in net.parameters()] == [True, True, True, True, False, True]
    now = [each.grad for each in net.parameters()]
    assert all(a is b if a is None or b is None else torch.equal(a, b) for a, b in zip(now, grads, strict=True))
    assert "forward" not in vars(net)


def test_random_states_gradients_and_defaults_are_as_they_were_even_after_an_error() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]  # noqa: NPY002
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), pytest.raises(KeyError):
            _disturbing()
        assert torch.get_default_dtype() == torch.float64
        with torch.no_grad(), in_memory.undisturbed():
            assert torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]  # noqa: NPY002
    assert after == before


def _disturbing() -> None:
    with in_memory.undisturbed():
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert torch.get_default_dtype() == torch.float32
        torch.rand(2), np.random.rand(2), random.random()  # noqa: NPY002
        raise KeyError("x")


def test_wrappers_are_taken_off() -> None:
    net = seeded()
    assert in_memory.unwrapped(nn.DataParallel(torch.compile(net))) is net
    assert in_memory.unwrapped(torch.optim.swa_utils.AveragedModel(net)).state_dict().keys() == net.state_dict().keys()
    own = nn.Sequential()
    own.add_module("module", net)
    assert in_memory.unwrapped(own) is own


def test_what_a_training_left_in_a_network_does_not_keep_it_from_being_copied() -> None:
    net: Any = nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(3, 2, 3)), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net(torch.rand(2, 3, 8, 8))
    net.last = net(torch.rand(2, 3, 8, 8))
    net._trainer = threading.Lock()
    assert read(net).classes == 2


def test_numbers_of_other_than_32_bits_become_such_and_that_is_said() -> None:
    found = read(seeded().half())
    assert {each.dtype for each in found.network.parameters()} == {torch.float32}
    assert found.notes == ("Its weights were of other than 32 bits, and are used as numbers of 32 bits here.",)
    assert read(seeded()).notes == ()


def test_the_digest_is_of_weights_code_and_what_else_makes_another_answer() -> None:
    again, other = read(seeded()).digest, seeded()
    assert read(seeded()).digest == again
    with torch.no_grad():
        other.fc.bias[1] += 1e-3
    shifted = seeded()
    shifted.shift += 1
    tilted = seeded()
    tilted.register_forward_hook(lambda _module, _args, output: output + 1)
    digests = [again, *(read(each).digest for each in (other, shifted, seeded(2.0), tilted))]
    assert len(set(digests)) == 5


def test_what_listens_to_a_network_does_not_hear_of_its_copy() -> None:
    heard: list[torch.Tensor] = []
    model = seeded()
    model.register_forward_hook(lambda _module, _args, output: heard.append(output))
    model.register_forward_pre_hook(lambda _module, args: heard.append(args[0]))
    model.register_full_backward_hook(lambda _module, _given, _taken: heard.append(torch.empty(0)))
    found = read(model)
    heard.clear()  # of the pass that compared the answers with and without
    found.network(torch.rand(1, 3, 8, 8)).sum().backward()
    assert heard == []
    assert found.notes == ()
    assert len(model._forward_hooks) == len(model._forward_pre_hooks) == len(model._backward_hooks) == 1


def test_hooks_that_are_a_part_of_a_network_stay_and_that_is_said() -> None:
    model = seeded()
    model.register_forward_pre_hook(lambda _module, args: (args[0] * 2,))
    images = torch.rand(2, 3, 8, 8)
    found = read(model)
    assert torch.equal(found.network(images), model.eval()(images))
    assert found.notes == ("Hooks that its program had put on it change its answers, and run here, too.",)
    pruned = seeded()
    prune.l1_unstructured(next(each for each in pruned.modules() if isinstance(each, nn.Linear)), "weight", amount=0.5)  # type: ignore[no-untyped-call]
    found = read(pruned)
    assert torch.equal(found.network(images), pruned.eval()(images))
    assert found.notes == ()


def test_a_network_that_draws_at_random_is_told_and_has_one_digest() -> None:
    def restless() -> in_memory.InMemory:
        net = seeded()
        net.register_forward_hook(lambda _module, _args, output: output + torch.rand_like(output))
        return read(net)

    assert restless().notes == (RESTLESS, "Hooks that its program had put on it change its answers, and run here, too.")
    assert restless().digest == restless().digest


def test_a_network_of_buffers_alone_is_one() -> None:
    found = read(Fixed())
    assert (found.classes, found.title) == (3, "Fixed")
    assert found.architecture.name == "tests.networks.test_in_memory:Fixed"


def test_one_logit_is_two_classes_and_records_give_theirs() -> None:
    image = torch.zeros(1, 3, 8, 8)
    single = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1))
    assert outputs(single, image, "x") == 2
    assert read(single).network(image).shape == (1, 2)
    assert outputs(nn.Sequential(single, nn.Sigmoid()), image, "x") == 2
    with pytest.raises(InputError, match=r"^x: expected logits of shape \(1, K\) for an image, .* got \(1, 3, 8, 8\)"):
        outputs(nn.ReLU(), image, "x")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_torchscript_is_a_network_into_which_nobody_looks() -> None:
    script = torch.jit.trace(seeded().eval(), torch.rand(1, 3, 8, 8))  # type: ignore[no-untyped-call]
    found = read(script)
    images = torch.rand(5, 3, 8, 8)
    assert (found.title, found.classes) == ("Net", 2)
    assert "TorchScript" in found.opaque
    assert torch.allclose(found.network(images), script(images))
    assert read(seeded()).opaque == ""


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Net, r"model: expected a network, got the class Net; give one of its objects$"),
        (lambda images: images, r"model: expected a torch.nn.Module, got function$"),
        ("best.pth", r"model: expected a torch.nn.Module, got str; name its file with: cnn-report build --weights$"),
        (None, r"model: expected a torch.nn.Module, got NoneType$"),
        (nn.Linear(5, 2), r"model, given an image of 3 x 8 x 8: it raised RuntimeError: mat1 and mat2"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), r"model: expected a network that has run, its 1.weight has no"),
    ],
    ids=["class", "function", "file", "none", "of another size", "without weights"],
)
def test_what_is_no_network_is_one_line(model: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}") as caught:
        read(model)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_copied_is_shared_and_a_network_that_cannot_is_told() -> None:
    net: Any = seeded()
    net.lock = threading.Lock()
    found: Any = read(net).network
    assert found.lock is net.lock
    assert found.conv.weight is not net.conv.weight

    class Single(Net):
        def __deepcopy__(self, memo: Any) -> Any:
            raise OSError("there is but one")

    with pytest.raises(InputError, match=r"^model: expected a network that copy.deepcopy can copy.* there is but one$"):
        read(Single())
