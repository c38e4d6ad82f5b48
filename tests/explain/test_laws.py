"""What holds for every method: nothing is left behind, and what must make no difference makes none."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

from generator import explain
from generator.base.errors import InputError
from generator.networks import devices
from generator.networks.small_cnn import SmallCNN
from tests.explain.nets import WAYS, assert_same, images, in_place, plain, seeded, strongest

Method = Callable[[nn.Module, Tensor, Any, str], Tensor]

METHODS: dict[str, Method] = {
    "grad_cam": explain.grad_cam,
    "grad_cam_all": lambda network, batch, _targets, layer: explain.grad_cam_all(network, batch, layer),
    "grad_cam_plus_plus": explain.grad_cam_plus_plus,
    "layer_cam": explain.layer_cam,
    "channel_contributions": explain.channel_contributions,
    "score_cam": lambda network, batch, targets, layer: explain.score_cam(network, batch, targets, layer, batch_size=5),
    "occlude": lambda network, batch, targets, _: (
        explain.occlude(network, batch, targets, patch=8, stride=8, batch_size=5).probability
    ),
    "guided_backprop": lambda network, batch, targets, _: explain.guided_backprop(network, batch, targets),
    "integrated_gradients": lambda network, batch, targets, _: explain.integrated_gradients(
        network, batch, targets, steps=7, batch_size=5
    ),
}

LAWFUL = ("gap", "global maximum, through convolutions", "functions", "uneven adaptive windows")

methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
ways = pytest.mark.parametrize("way", LAWFUL)


def lawful(way: str, count: int = 3) -> tuple[nn.Module, str, Tensor, Tensor]:
    """A network, its layer, images higher than wide, and targets whose maps are not nearly empty."""
    make, layer = WAYS[way]
    network, batch = seeded(make), images(count, 3, 32, 24)
    return network, layer, batch, strongest(explain.grad_cam_all(network, batch, layer))


@methods
@ways
def test_a_batch_equals_its_images_one_by_one(method: Method, way: str) -> None:
    network, layer, batch, targets = lawful(way, 5)
    together = method(network, batch, targets, layer)
    singly = [method(network, batch[i : i + 1], targets[i : i + 1], layer) for i in range(5)]
    assert_same(together, torch.cat(singly))


@pytest.mark.parametrize("targets", [[], ()])
def test_no_images_have_no_targets(targets: list[int]) -> None:
    network, layer, batch, _ = lawful("gap")
    assert explain.grad_cam(network, batch[:0], targets, layer).numel() == 0


def test_truth_values_are_no_classes() -> None:
    network, layer, batch, _ = lawful("gap", 2)
    with pytest.raises(ValueError, match=r"targets: expected one class index .* got \(2,\) torch.bool"):
        explain.grad_cam(network, batch, torch.tensor([True, False]), layer)


def test_a_forward_pass_in_inference_mode_is_refused() -> None:
    network, layer, batch, targets = lawful("gap")
    network.forward = torch.inference_mode()(network.forward)
    with pytest.raises(InputError, match="runs it in inference mode, which keeps no gradients"):
        explain.grad_cam(network, batch, targets, layer)


@methods
@ways
def test_no_images_give_no_maps(method: Method, way: str) -> None:
    network, layer, batch, targets = lawful(way)
    shape = method(network, batch, targets, layer).shape
    assert method(network, batch[:0], targets[:0], layer).shape == (0, *shape[1:])


@methods
@ways
def test_frozen_parameters_make_no_difference(method: Method, way: str) -> None:
    network, layer, batch, targets = lawful(way)
    want = method(network, batch, targets, layer)
    assert torch.equal(method(network.requires_grad_(False), batch, targets, layer), want)


@methods
@ways
def test_activation_functions_in_place_make_no_difference(method: Method, way: str) -> None:
    network, layer, batch, targets = lawful(way)
    one, other = (in_place(network, inplace) for inplace in (False, True))
    assert_same(method(one, batch, targets, layer), method(other, batch, targets, layer), 1e-6)


@methods
@ways
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_an_outer_gradient_mode_makes_no_difference(method: Method, way: str, mode: Callable[[], Any]) -> None:
    network, layer, batch, targets = lawful(way)
    want = method(network, batch, targets, layer)
    with mode():
        here = batch.clone()  # under inference mode, a tensor that no gradient may be taken through
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        found = method(network, here, targets.clone(), layer)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
    assert torch.equal(found, want)
    assert not found.requires_grad
    assert found.dtype == torch.float32


@methods
def test_images_that_require_gradients_keep_none(method: Method) -> None:
    network, layer, batch, targets = lawful("functions")
    want = method(network, batch, targets, layer)
    batch.requires_grad_()
    found = method(network, batch, targets, layer)
    assert torch.equal(found, want)
    assert not found.requires_grad
    assert batch.grad is None


@methods
def test_in_double_and_half_precision(method: Method) -> None:
    network, layer, batch, targets = lawful("gap")
    want = method(network, batch, targets, layer)
    double = method(copy.deepcopy(network).double(), batch.double(), targets, layer)
    assert double.dtype == torch.float32
    assert_same(double, want, 1e-4)
    brief = method(copy.deepcopy(network).bfloat16(), batch.bfloat16(), targets, layer)
    assert brief.dtype == torch.float32
    cosine = torch.nn.functional.cosine_similarity(brief.flatten(1), want.flatten(1))
    assert cosine.min() > 0.98


class Fragile(nn.Module):
    """Raises after its convolution, and has parts in different modes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.relu = nn.ReLU(inplace=True)
        self.bn = nn.BatchNorm2d(6)
        self.drop = nn.Dropout()
        self.linear = nn.Linear(6, 5)
        self.breaks = 0  # in the first, second, ... forward pass from now on; 0 for never

    def forward(self, batch: Tensor) -> Tensor:
        maps = self.bn(self.relu(self.conv(batch)))
        self.breaks -= 1
        if self.breaks == 0:
            raise ArithmeticError("broken on purpose")
        logits: Tensor = self.linear(self.drop(maps).mean((2, 3)))
        return logits


def traces(network: nn.Module) -> list[Any]:
    """All that a careless explanation leaves behind."""
    hooks = [
        len(registered)
        for module in network.modules()
        for registered in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    ]
    tensors = [
        (
            tensor._version,
            tensor.requires_grad,
            tensor.data_ptr(),
            None if tensor.grad is None else tensor.grad.tolist(),
        )
        for tensor in network.state_dict(keep_vars=True).values()
    ]
    modes = len(_get_current_function_mode_stack())  # type: ignore[no-untyped-call]
    return [hooks, [module.training for module in network.modules()], tensors, torch.is_grad_enabled(), modes]


def at_bn(method: Method) -> Callable[[nn.Module, Tensor], Tensor]:
    return lambda network, batch: method(network, batch, [0, 1], "bn")


PROBES: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    **{name: at_bn(method) for name, method in METHODS.items()},
    "without a layer": lambda network, batch: explain.grad_cam(network, batch, [0, 1]),
    "before an in-place ReLU": lambda network, batch: explain.grad_cam(network, batch, [0, 1], "conv"),
    "feature_maps": lambda network, batch: explain.feature_maps(network, batch, ["conv", "bn"]),
    "choose_layer": explain.choose_layer,
    "receptive_field": lambda network, _: explain.receptive_field(network, "conv", 10),
    "macs": lambda network, _: explain.macs(network, (3, 10, 10)),
    "summary": lambda network, _: explain.summary(network, (3, 10, 10)),
}


@pytest.mark.parametrize("breaks", [0, 1, 2])
@pytest.mark.parametrize("call", PROBES.values(), ids=PROBES)
def test_nothing_is_left_behind(call: Callable[[nn.Module, Tensor], Any], breaks: int) -> None:
    """Neither after success nor after an exception in the first or the second forward pass."""
    network = Fragile().train()
    network.bn.eval()
    network.conv.weight.requires_grad_(False)
    network.linear.weight.grad = torch.ones_like(network.linear.weight)
    network.breaks = breaks
    batch = images(2, 3, 12, 10)
    before, version, copied = traces(network), batch._version, batch.clone()
    try:
        call(network, batch)
    except ArithmeticError:
        assert breaks
    else:
        assert breaks != 1
    assert traces(network) == before
    assert (batch._version, batch.requires_grad) == (version, False)
    assert torch.equal(batch, copied)


@methods
@ways
def test_no_activation_outlives_the_call(method: Method, way: str) -> None:
    """Reference counting alone frees them: nothing waits for the garbage collector on a small GPU."""
    network, layer, batch, targets = lawful(way)
    outputs: list[weakref.ref[Tensor]] = []
    for module in network.modules():
        module.register_forward_hook(lambda _m, _a, output: outputs.append(weakref.ref(output)))
    gc.disable()
    try:
        method(network, batch, targets, layer)
        alive = [reference for reference in outputs if reference() is not None]
    finally:
        gc.enable()
    assert outputs
    assert not alive


@methods
def test_images_survive_a_network_that_begins_in_place(method: Method) -> None:
    network = nn.Sequential(nn.ReLU(True), nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    batch = images(2, 3, 8, 8)
    copied = batch.clone()
    method(network, batch, [0, 1], "0")
    explain.feature_maps(network, batch, ["0"])
    explain.choose_layer(network, batch)
    assert torch.equal(batch, copied)


def test_a_users_own_hooks_are_part_of_the_network() -> None:
    """A hook that changes a module's output lies between the modules, so the closed form must not be taken."""
    network, batch = seeded(WAYS["gap"][0]), images(2, 3, 24, 32)
    handle = network.get_submodule("head.pool").register_forward_hook(lambda _m, _a, output: output**2)
    want = plain(network, batch, "features")
    assert_same(explain.grad_cam_all(network, batch, "features"), want)
    handle.remove()
    assert (explain.grad_cam_all(network, batch, "features") - want).abs().max() > 1e-3


@methods
@ways
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_equals_cpu(method: Method, way: str) -> None:
    network, layer, batch, targets = lawful(way)
    want = method(network, batch, targets, layer)
    there = copy.deepcopy(network).cuda()
    with devices.precise(torch.device("cuda")):  # TF32, cuDNN's own choice, would be off by more
        assert_same(method(there, batch.cuda(), targets, layer).cpu(), want, 1e-3)
        assert_same(method(there, batch.cuda(), targets.cuda(), layer).cpu(), want, 1e-3)


@pytest.mark.parametrize("method", ["occlude", "score_cam", "integrated_gradients"])
def test_images_that_lie_channels_last_are_shown_so_and_the_maps_are_the_same(method: str) -> None:
    network, batch = seeded(lambda: SmallCNN(classes=5, widths=(4, 6, 8, 10))), images(2, 3, 32, 24)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "occlude": lambda given: explain.occlude(network, given, [3, 1]).probability,
        "score_cam": lambda given: explain.score_cam(network, given, [3, 1], "features.relu7"),
        "integrated_gradients": lambda given: explain.integrated_gradients(network, given, [3, 1]),
    }
    shown: list[bool] = []
    want = ways[method](batch)
    network.register_forward_pre_hook(
        lambda _m, given: shown.append(given[0].is_contiguous(memory_format=torch.channels_last))
    )
    found = ways[method](batch.contiguous(memory_format=torch.channels_last))
    assert shown
    assert all(shown)
    assert_same(found, want, 1e-5)
