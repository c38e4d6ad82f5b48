"""The conformance suite over architectures: the layer, the raw map of a peer that is right, and what is left behind.

captum 0.9 is right wherever maps are (N, C, h, w); grad-cam 1.5.7 for tokens and maps with their channels last, with a
`reshape_transform` that is written by hand for each network. Where a peer is wrong a test of its own says so.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from generator import explain
from tests.explain.families import FAMILIES, Family, exact
from tests.explain.nets import assert_same, images, seeded, strongest

pytestmark = pytest.mark.slow
families = pytest.mark.parametrize("name", FAMILIES)


@cache
def network_of(name: str) -> Any:
    return exact(seeded(FAMILIES[name].make))


@cache
def targets_of(name: str) -> list[int]:
    """The class with the largest map of each image: of a map that is nearly empty, rounding is a large part."""
    found: list[int] = strongest(explain.grad_cam_all(network_of(name), batch_of(name))).tolist()
    return found


def batch_of(name: str) -> Tensor:
    return images(2, 3, *FAMILIES[name].size).double()


def captums(network: nn.Module, batch: Tensor, targets: list[int], layer: str) -> Tensor:
    peer = LayerGradCam(network, network.get_submodule(layer))
    found: Tensor = peer.attribute(batch, torch.tensor(targets), relu_attributions=True).detach()[:, 0]
    return found


def grad_cams(network: nn.Module, batch: Tensor, targets: list[int], layer: str, reshape: Any) -> Tensor:
    """The package's weighted sum, before it scales it twice and enlarges it."""
    package = pytest.importorskip("pytorch_grad_cam", reason="the package grad-cam is not installed")
    module = network.get_submodule(layer)
    with package.GradCAM(model=network, target_layers=[module], reshape_transform=reshape) as peer:
        logits = peer.activations_and_grads(batch)
        logits[range(len(batch)), targets].sum().backward()
        activations, gradients = (getattr(peer.activations_and_grads, kind)[0] for kind in ("activations", "gradients"))
        found = peer.get_cam_image(batch, module, None, activations.numpy(), gradients.numpy(), False)
    return torch.from_numpy(found).relu()


def by_hand(network: Any, batch: Tensor, targets: list[int], family: Family) -> Tensor:
    assert family.parts is not None
    before, after = family.parts(network)
    maps = before(batch).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(after(maps)[range(len(batch)), targets].sum(), maps)
    return (gradient.mean((2, 3), keepdim=True) * maps).sum(1).relu().detach()


def wanted(network: Any, batch: Tensor, targets: list[int], family: Family) -> Tensor:
    network = copy.deepcopy(network)  # the peers leave gradients behind
    if family.peer == "by hand":
        return by_hand(network, batch, targets, family)
    if family.peer == "grad-cam":
        return grad_cams(network, batch, targets, family.layer, family.reshape)
    return captums(network, batch, targets, family.layer)


@families
def test_the_layer_and_the_peers_raw_map(name: str) -> None:
    family, network, batch, targets = FAMILIES[name], network_of(name), batch_of(name), targets_of(name)
    assert explain.choose_layer(network, batch) == family.layer
    found = explain.grad_cam(network, batch, targets)
    want = wanted(network, batch, targets, family).float()
    assert_same(found, want)
    assert_same(explain.grad_cam_all(network, batch)[[0, 1], targets], want)
    if family.size[0] != family.size[1]:
        assert (found.shape[1] > found.shape[2]) == (family.size[0] > family.size[1])


@families
def test_a_batch_is_its_images_one_by_one_and_nothing_is_left_behind(name: str) -> None:
    family, batch, targets = FAMILIES[name], batch_of(name), targets_of(name)
    network = copy.deepcopy(network_of(name)).train()
    before = state(network)
    for method in (explain.grad_cam, explain.grad_cam_plus_plus, explain.layer_cam):
        together = method(network, batch, targets, family.layer)
        singly = [method(network, batch[[n]], [targets[n]], family.layer) for n in range(2)]
        torch.testing.assert_close(together, torch.cat(singly), rtol=1e-5, atol=1e-5 * float(together.amax()) + 1e-12)
    assert state(network) == before

    def fail(_module: nn.Module, _args: Any) -> None:
        raise ArithmeticError("broken on purpose")

    head = [module for module in network.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]
    handle = head.register_forward_pre_hook(fail)
    for ask in (explain.choose_layer, explain.grad_cam, explain.attention_rollout, explain.integrated_gradients):
        with pytest.raises(ArithmeticError):
            ask(network, batch)
    handle.remove()
    assert state(network) == before


def state(network: nn.Module) -> list[Any]:
    return [
        [(parameter.requires_grad, parameter.grad, parameter._version) for parameter in network.parameters()],
        [(name, buffer._version) for name, buffer in network.named_buffers()],
        [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in network.modules()],
        [(module.training, len(module._backward_hooks)) for module in network.modules()],
        (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    ]


# Where a peer is wrong


def test_captum_takes_tokens_for_channels() -> None:
    """It averages over all axes but the first two: of (N, T, D) a weight for each token, and a "map" over channels."""
    network, batch = network_of("vit"), batch_of("vit")
    layer = FAMILIES["vit"].layer
    assert captums(copy.deepcopy(network), batch, [0, 2], layer).shape == (2, 16)  # of 16 channels, not of 4 x 4 cells
    assert explain.grad_cam(network, batch, [0, 2], layer).shape == (2, 4, 4)


def test_grad_cam_has_nothing_but_zeros_at_a_class_token_s_last_block() -> None:
    name = "timm vit, not square"
    network, batch = network_of(name), batch_of(name)
    theirs = grad_cams(copy.deepcopy(network), batch, [0, 2], "blocks.1", FAMILIES[name].reshape)
    assert theirs.count_nonzero() == 0
    assert explain.layer_choice(network, batch).later[1].reached == 0  # which is why "blocks" is not chosen
    assert explain.grad_cam(network, batch, [0, 2]).amax((1, 2)).min() > 0


def test_grad_cam_without_a_reshape_takes_tokens_for_a_map() -> None:
    name = "timm vit, registers"
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever NumPy says of axes that are not there
        grad_cams(copy.deepcopy(network_of(name)), batch_of(name), [0, 2], "blocks.1.norm1", None)


def test_grad_cam_fails_on_a_frozen_network() -> None:
    network = copy.deepcopy(network_of("resnet18")).requires_grad_(False)
    with pytest.raises(RuntimeError, match="does not require grad"):
        grad_cams(network, batch_of("resnet18"), [0, 2], "layer4", None)
    found = explain.grad_cam(network, batch_of("resnet18"), [0, 2])
    assert torch.equal(found, explain.grad_cam(network_of("resnet18"), batch_of("resnet18"), [0, 2]))
