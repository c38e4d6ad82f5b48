"""Which methods can explain a network: those that do not fail on it, and of the others why."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.explain import methods
from tests.explain.test_attention import Transformer

IMAGES = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4, 2)

    def maps(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.maps(x).mean((2, 3)))  # type: ignore[no-any-return]


class Frozen(Net):
    def maps(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().maps(x)


class Silent(Net):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class Sealed(Net):
    """Gradients are off after its maps, too."""

    def forward(self, x: Tensor) -> Tensor:
        maps = self.maps(x)
        with torch.no_grad():
            return self.fc(maps.mean((2, 3)))  # type: ignore[no-any-return]


class Changing(Net):
    """What autograd needs is overwritten, which it refuses when it is asked."""

    def maps(self, x: Tensor) -> Tensor:
        maps = super().maps(x).sigmoid()
        maps += 1
        return maps


class Smooth(Net):
    def maps(self, x: Tensor) -> Tensor:
        return F.gelu(self.conv(x))


FORWARD = {"Score-CAM", "occlusion"}
USUAL = {name for name, method in methods.usual().items() if "attention" not in method.asks}
OF_IMAGES = {"guided backprop", "integrated gradients"}


@pytest.mark.parametrize(
    ("kind", "layer", "lacking", "reason"),
    [
        (Net, "relu", set(), ""),
        (Smooth, "conv", {"guided backprop"}, "no ReLU lies between"),
        (Frozen, "relu", OF_IMAGES, "its forward turns gradients off"),
        (Silent, "relu", OF_IMAGES, "its forward turns gradients off"),
        (Sealed, "relu", USUAL - FORWARD, "at layer relu, the logits do not depend on it by any"),
        (Changing, "conv", USUAL - FORWARD, "there are no gradients, as its forward overwrites in place"),
    ],
)
def test_what_fails_is_left_out_with_its_reason(kind: type[Net], layer: str, lacking: set[str], reason: str) -> None:
    torch.manual_seed(0)
    able, why_not = methods.suited(kind().eval(), IMAGES, layer)
    assert set(why_not) == lacking
    assert set(able) == USUAL - lacking
    assert any(reason in said for said in why_not.values()) or not lacking
    targets = torch.zeros(1, dtype=torch.int64)
    for name, method in able.items():
        assert method(kind().eval(), IMAGES, targets, layer).shape[0] == 1, name


def test_without_a_layer_there_are_the_methods_of_images() -> None:
    able, why_not = methods.suited(Net().eval(), IMAGES, "", no_layer="it has none")
    assert set(able) == OF_IMAGES | {"occlusion"}
    assert set(why_not.values()) == {"it has none"}
    assert methods.left_out(why_not) == ["Grad-CAM, Grad-CAM++, LayerCAM and Score-CAM are left out: it has none."]


def test_the_one_list_says_of_each_what_it_asks_and_costs() -> None:
    told = {name: (sorted(method.asks), method.passes((64, 64), 48)) for name, method in methods.METHODS.items()}
    assert told == {
        "Grad-CAM": (["gradients", "layer"], 3),
        "Grad-CAM++": (["gradients", "layer"], 3),
        "LayerCAM": (["gradients", "layer"], 3),
        "Score-CAM": (["layer"], 48),
        "attention rollout": (["attention", "gradients"], 3),
        "LeGrad": (["attention", "gradients"], 3),
        "occlusion": ([], 64),
        "RISE": ([], 4000),
        "guided backprop": (["gradients"], 3),
        "integrated gradients": (["gradients"], 3 * 30),
    }
    assert all(re.search(r"\d{4}, (arXiv:\d{4}\.\d{4,5}|IEEE)", method.source) for method in methods.METHODS.values())
    assert not {"RISE", "LeGrad"} & set(methods.usual())


def test_of_a_transformer_attention_is_looked_at_too() -> None:
    network = Transformer().eval()
    able, why_not = methods.suited(network, torch.randn(1, 3, 8, 12), "blocks.2.norm")
    assert [*able][:6] == ["Grad-CAM", "Grad-CAM++", "LayerCAM", "Score-CAM", "attention rollout", "occlusion"]
    assert set(why_not) == {"guided backprop"}


def test_those_that_are_named_are_asked_and_told_of() -> None:
    asked = methods.named(["RISE", "LeGrad", "occlusion"])
    able, why_not = methods.suited(Net().eval(), IMAGES, "relu", asked)
    assert [*able] == ["RISE", "occlusion"]
    assert why_not == {"LeGrad": "it has no tokens that are cells of the image and that all goes through"}
    with pytest.raises(InputError, match=r"got 'Gradcam'; nearest: Grad-CAM"):
        methods.named(["Gradcam"])
