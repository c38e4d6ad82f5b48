"""Images made for classes: they raise the right logit, look as asked, and come out the same again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from generator.config.schema import ModelConfig
from generator.inspection import prototypes
from generator.inspection.prototypes import maximise
from generator.networks import catalogue
from generator.networks.architecture import initialise
from generator.networks.inputs import normalise
from generator.networks.small_cnn import SmallCNN
from generator.records.input import Input, square

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]


def colour_net() -> nn.Module:
    """Logits: how far red, green and blue are above the other two, on average."""
    linear = nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        linear.weight.copy_(10 * (3 * torch.eye(3) - 1))
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)


def upright_net() -> nn.Module:
    """Logits: how much neighbours differ across, and down."""
    convolution = nn.Conv2d(3, 2, 3, bias=False)
    with torch.no_grad():
        convolution.weight.zero_()
        for channel, (row, column) in enumerate(((1, 0), (0, 1))):
            convolution.weight[channel, :, row, column] = -1
            convolution.weight[channel, :, 2 - row, 2 - column] = 1
    head = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        head.weight.copy_(10 * torch.eye(2))
    return nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(normalise(images, square(images.shape[-1])))
    return logits


def test_a_grey_networks_images_are_grey() -> None:
    """It sees no colours, so that what colours there were would be noise."""
    way = Input((16, 16), channels=1, mean=(0.5,), std=(0.25,))
    linear = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[10.0], [-10.0]]))
    bright = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    light, dark = maximise(bright, [0, 1], way, steps=40)
    for image in (light, dark):
        assert torch.equal(image[0], image[1])
        assert torch.equal(image[0], image[2])
    assert light.float().mean() > dark.float().mean() + 50


def test_each_image_has_its_own_colour() -> None:
    images = maximise(colour_net(), [2, 0, 2], square(16), steps=100)
    assert (images.shape, images.dtype) == ((3, 3, 16, 16), torch.uint8)
    assert images.float().mean((2, 3)).argmax(1).tolist() == [2, 0, 2]
    assert logits_of(colour_net(), images).argmax(1).tolist() == [2, 0, 2]
    assert not torch.equal(images[0], images[2])  # each begins with noise of its own


def test_stripes_follow_the_filter() -> None:
    images = maximise(upright_net(), [0, 1], square(16), steps=100).float()
    across, down = images.diff(dim=3).abs().mean((1, 2, 3)), images.diff(dim=2).abs().mean((1, 2, 3))
    assert across[0] > 1.5 * down[0]
    assert down[1] > 1.5 * across[1]


def test_the_shipped_network_knows_what_was_made_for_it() -> None:
    loaded = catalogue.from_folder(ModelConfig("cnn"), ROOT / "models" / "cnn")
    assert loaded is not None
    targets = list(range(0, len(loaded.class_names), 4))
    before = logits_of(loaded.network, maximise(loaded.network, targets, loaded.input, steps=0))
    logits = logits_of(loaded.network, maximise(loaded.network, targets, loaded.input, steps=24))
    rows = torch.arange(len(targets))
    assert (logits[rows, targets] > before[rows, targets]).all()
    assert (logits.argmax(1) == torch.tensor(targets)).float().mean() > 0.6


def test_the_same_seed_gives_the_same_images() -> None:
    torch.manual_seed(1)
    first = maximise(colour_net(), [0, 1], square(12), seed=5, steps=4)
    torch.manual_seed(2)  # no global randomness takes part
    assert torch.equal(maximise(colour_net(), [0, 1], square(12), seed=5, steps=4), first)
    assert not torch.equal(maximise(colour_net(), [0, 1], square(12), seed=6, steps=4), first)


def test_the_contrast_is_that_of_photos() -> None:
    images = maximise(upright_net(), [0, 1], square(32), steps=16).float() / 255
    assert images.std((1, 2, 3)).min() > 0.15
    assert images.std((1, 2, 3)).max() < 0.3


def test_no_step_is_no_class_but_low_frequencies() -> None:
    images = maximise(colour_net(), [0], square(64), steps=0).float()
    near, far = images.diff(dim=3).abs().mean(), (images - images.roll(16, dims=3)).abs().mean()
    assert near < 0.6 * far  # noise would have them equal


def test_the_model_stays_as_it_was() -> None:
    network = SmallCNN(3, (4, 4, 4, 4))
    initialise(network, 0)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    maximise(network, [0, 1, 2], square(32), steps=2)
    assert all(module.training for module in network.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_it_works_within_no_grad_and_on_frozen_weights() -> None:
    network = colour_net().requires_grad_(False)
    with torch.inference_mode():
        images = maximise(network, [0], square(8), steps=100)
    assert images.float().mean((2, 3)).argmax(1).tolist() == [0]


def test_the_amplitude_of_a_frequency_is_its_reciprocal() -> None:
    found = prototypes._photographic((4, 4))
    # Rows 0, 1/4, -1/2, -1/4; columns 0, 1/4, 1/2.
    assert found[0].tolist() == [0, 4, 2]
    assert found[1, 0] == 4
    assert found[2, 2] == pytest.approx(2**0.5)


def test_the_variation_is_the_mean_step() -> None:
    images = torch.zeros(2, 1, 2, 3)
    images[0, 0, :, 1] = 1  # across: steps 1 and 1 in each row; down: none
    images[1, 0, 1, :] = 0.5  # down: 0.5 in each column
    assert prototypes._variation(images).item() == pytest.approx(1 + 0.5)
