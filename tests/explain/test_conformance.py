"""The conformance suite of Grad-CAM: ten points on which libraries differ, or are wrong, and what is right.

Points 1 and 3 compare with captum and grad-cam, the others with values worked out by hand or with one another. The
networks have random weights, as what is compared is arithmetic.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torchvision import models

from generator import explain
from generator.config.schema import ModelConfig
from generator.networks.alexnet import alexnet
from generator.networks.catalogue import from_folder
from generator.networks.small_cnn import SmallCNN
from tests.explain.nets import (
    PEERS,
    POOLED,
    RAMP,
    assert_same,
    images,
    in_place,
    plain,
    pooled_toy,
    rectified_toy,
    seeded,
    strongest,
)

# Network -> how it is made, and a layer that an in-place ReLU follows.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "alexnet": (lambda: alexnet(5, grid=1), "features.10"),
    "resnet18": (lambda: models.resnet18(num_classes=5), "layer4.1.bn2"),
    "smallcnn": (lambda: SmallCNN(classes=5, widths=(4, 6, 8, 10)), "features.bn7"),
    "smallcnn, average": (lambda: SmallCNN(classes=5, widths=(4, 6, 8, 10), pool="average"), "features.bn7"),
}
networks = pytest.mark.parametrize("name", NETWORKS)
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("peer", PEERS)
def test_1_the_raw_map_is_captums(peer: str) -> None:
    """In float64 to the last digits of the float32 result, in float32 within the rounding of the terms of the sum.

    The channels of a network with random weights nearly cancel out: a map can be a hundredth of its terms.
    """
    make, layers = PEERS[peer]
    network, batch = seeded(make), images(2, 3, 64, 80)
    exact = copy.deepcopy(network).double()
    for layer in layers:
        captum = LayerGradCam(exact, exact.get_submodule(layer))
        terms = [captum.attribute(batch.double(), target, attr_dim_summation=False).detach() for target in range(3)]
        want = torch.stack([term.sum(1).relu() for term in terms], 1)
        targets = strongest(want)
        one = captum.attribute(batch.double(), targets, relu_attributions=True).detach()[:, 0]
        assert_same(explain.grad_cam_all(exact, batch.double(), layer), want.float(), 1e-6)
        assert_same(explain.grad_cam(exact, batch.double(), targets, layer), one.float(), 1e-6)
        magnitude = torch.stack([term.abs().sum(1).amax((1, 2)) for term in terms], 1)  # (N, K)
        for found in (
            explain.grad_cam_all(network, batch, layer),
            torch.stack([explain.grad_cam(network, batch, [target] * 2, layer) for target in range(3)], 1),
        ):
            assert ((found - want).abs().amax((2, 3)) / magnitude).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "alexnet"])
def test_1_the_raw_map_is_captums_for_the_trained_networks(name: str) -> None:
    """In float32, of the predicted class, whose terms do not cancel out."""
    model = from_folder(ModelConfig(name), ROOT / "models" / name)
    assert model is not None
    batch = images(4, *model.input.shape)
    layer = model.layer
    predicted = model.network(batch).argmax(1)
    theirs = in_place(model.network, False)
    peer = LayerGradCam(theirs, theirs.get_submodule(layer))
    want = peer.attribute(batch, predicted, relu_attributions=True).detach()[:, 0]
    assert want.amax((1, 2)).min() > 0
    found = explain.grad_cam(model.network, batch, predicted, layer)
    assert ((found - want).abs().amax((1, 2)) / want.amax((1, 2))).max() <= 1e-5


@networks
def test_2_in_place_relu_or_not_the_map_is_the_same(name: str) -> None:
    make, layer = NETWORKS[name]
    network, batch = seeded(make), images(2, 3, 64, 64)
    one, other = (
        explain.grad_cam_all(in_place(network, inplace).double(), batch.double(), layer) for inplace in (False, True)
    )
    assert_same(other, one, 1e-6)


def test_3_the_map_is_grad_cams_after_its_double_normalisation() -> None:
    """At a layer that no in-place ReLU follows; the package is right there."""
    peer = pytest.importorskip("pytorch_grad_cam", reason="the package grad-cam is not installed")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    for make in (lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10)), lambda: alexnet(6, grid=1)):
        network, batch = seeded(make), images(2, 3, 128, 128)
        wanted = strongest(explain.grad_cam_all(network, batch, "features"))
        with peer.GradCAM(model=network, target_layers=[network.get_submodule("features")]) as cam:
            theirs = cam(input_tensor=batch, targets=[targets.ClassifierOutputTarget(int(index)) for index in wanted])
        ours = explain.grad_cam(network, batch, wanted, "features")

        def scaled(maps: Tensor) -> Tensor:
            low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
            return (maps - low) / (1e-7 + (high - low))

        enlarged = F.interpolate(scaled(ours)[:, None], (128, 128), mode="bilinear", align_corners=False)[:, 0]
        assert_same(scaled(enlarged), torch.from_numpy(theirs))


@pytest.mark.parametrize("inplace", [False, True])
def test_4_captums_toy_by_hand(inplace: bool) -> None:
    # The 3x3 sums of 0..15 are 45 54 81 90, so the maps are -5 4 31 40 and -30 -21 6 15.
    # The logit is 4 + 31 + 40 - 6 - 15 = 54 > 0: the last ReLU passes.
    # Gradients: 0 1 1 1 with the mean 0.75, and 0 0 -1 -1 with the mean -0.5.
    # 0.75 * -5 + 0.5 * 30 = 11.25; 0.75 * 4 + 0.5 * 21 = 13.5; 0.75 * 31 - 0.5 * 6 = 20.25; 0.75 * 40 - 0.5 * 15 = 22.5
    found = explain.grad_cam(rectified_toy(inplace), RAMP, [2], "conv")
    assert found.tolist() == [[[11.25, 13.5], [20.25, 22.5]]]
    # After the ReLU the maps are 0 4 31 40 and 0 0 6 15, the gradients 1 1 1 1 and 1 -1 -1 -1, their means 1 and -0.5.
    found = explain.grad_cam(rectified_toy(inplace), RAMP, torch.tensor([0]), "relu")
    assert found.tolist() == [[[0.0, 4.0], [28.0, 32.5]]]


@networks
def test_5_a_frozen_network_has_the_same_map(name: str) -> None:
    make, layer = NETWORKS[name]
    network, batch = seeded(make), images(2, 3, 64, 64)
    want = explain.grad_cam_all(network, batch, layer)
    assert want.amax() > 0
    assert torch.equal(explain.grad_cam_all(network.requires_grad_(False), batch, layer), want)


@networks
def test_6_no_hook_grad_or_mode_is_left_behind(name: str) -> None:
    """After success, and after an exception in the head, which runs after the layer."""
    make, layer = NETWORKS[name]
    network, batch = seeded(make).train(), images(2, 3, 64, 64)
    head = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]

    def state() -> list[Any]:
        return [
            [(parameter.requires_grad, parameter.grad, parameter._version) for parameter in network.parameters()],
            [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in network.modules()],
            [(module.training, len(module._backward_hooks)) for module in network.modules()],
            torch.is_grad_enabled(),
        ]

    before = state()
    explain.grad_cam(network, batch, [0, 1], layer)
    explain.grad_cam_all(network, batch, layer)
    assert state() == before

    def fail(_module: nn.Module, _args: Any) -> None:
        raise ArithmeticError("broken on purpose")

    handle = head.register_forward_pre_hook(fail)
    calls: list[Callable[[], Tensor]] = [
        lambda: explain.grad_cam(network, batch, [0, 1], layer),
        lambda: explain.grad_cam_all(network, batch),
    ]
    for call in calls:
        with pytest.raises(ArithmeticError):
            call()
    handle.remove()
    assert state() == before


@networks
def test_7_a_batch_is_its_images_one_by_one(name: str) -> None:
    """Within 1e-5 of the terms of the sum, as in point 1."""
    make, layer = NETWORKS[name]
    network, batch = seeded(make), images(4, 3, 64, 64)
    together = explain.grad_cam_all(network, batch, layer)
    singly = torch.cat([explain.grad_cam_all(network, image[None], layer) for image in batch])
    assert_same(together.flatten(1)[..., None], singly.flatten(1)[..., None])


@networks
@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_8_images_that_are_not_square(name: str, size: tuple[int, int]) -> None:
    make, layer = NETWORKS[name]
    network, batch = seeded(make).double(), images(2, 3, *size).double()
    found = explain.grad_cam_all(network, batch, layer)
    assert (found.shape[2] > found.shape[3]) == (size[0] > size[1])
    assert_same(found, plain(network, batch, layer), 1e-6)


def test_9_a_map_without_positive_evidence_is_zero_in_all_cells() -> None:
    """Its raw maximum, which is what flags it, is 0 and not what a min-max would make of it."""
    net = pooled_toy()
    net.load_state_dict(net.state_dict() | {"4.weight": torch.tensor([[-1.0, -2.0], [-1.0, 3.0]])})
    found = explain.grad_cam_all(net, POOLED, "0")
    assert found.amax((2, 3)).tolist() == [[0.0, 9.0]]
    for method in (explain.grad_cam, explain.grad_cam_plus_plus, explain.layer_cam):
        assert method(net, POOLED, [0], "0").amax().item() == 0


def test_10_of_an_averaged_linear_head_it_is_the_classic_class_activation_map() -> None:
    """Zhou et al. 2016: the class's weights times the maps; Grad-CAM's are divided by the number of cells."""
    network, batch = seeded(lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10), pool="average")), images(2, 3, 40, 48)
    maps = explain.feature_maps(network, batch, ["features"])["features"]
    classic = torch.einsum("kc,nchw->nkhw", network.get_parameter("head.linear.weight").detach(), maps).relu()
    assert_same(explain.grad_cam_all(network, batch, "features"), classic / maps.shape[2:].numel())
    # class 0: (A0 - 2 A1) / 6 = 1 -2 0 | 0 2 -6, class 1: (-A0 + 3 A1) / 6 = -1 3 0 | 0 -2 9
    want = torch.tensor([[[[1.0, 0, 0], [0, 2, 0]], [[0, 3, 0], [0, 0, 9]]]])
    torch.testing.assert_close(explain.grad_cam_all(pooled_toy(), POOLED, "0"), want)
