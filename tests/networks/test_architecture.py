"""The networks against counts and values worked out by hand, and the batch resampling against Pillow's."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from generator.data.preprocessing import square
from generator.live.trace import scale_and_shift
from generator.networks import named
from generator.networks.alexnet import ALEXNET, alexnet, widen
from generator.networks.architecture import initialise, largest_output
from generator.networks.inputs import fitted, normalise
from generator.networks.small_cnn import SMALL_CNN, SmallCNN, pass_on
from generator.records.input import MEAN, STD
from generator.records.input import square as square_input

pytestmark = pytest.mark.usefixtures("one_thread")


WAY = square_input(64)


def pixels(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_small_cnn_has_the_parameters_counted_by_hand() -> None:
    pairs = [(3, 48), (48, 96), (96, 96), (96, 192), (192, 192), (192, 320), (320, 320)]
    kernels = sum(9 * below * above for below, above in pairs) + (25 - 9) * 3 * 48  # the first are 5x5
    norms = sum(2 * above for _, above in pairs)
    head = 320 * 30 + 30

    count = sum(parameter.numel() for parameter in SmallCNN().parameters())

    assert count == kernels + norms + head == 2_112_398


@pytest.mark.parametrize("pool", ["max", "average"])
def test_small_cnn_sums_up_last_maps_of_8x8(pool: str) -> None:
    network = SmallCNN(classes=5, widths=(4, 4, 6, 8), pool=pool).eval()
    images = normalise(pixels(2, 3, 64, 64), WAY)

    with torch.inference_mode():
        maps = network.features(images)
        logits = network(images)

    assert maps.shape == (2, 8, 8, 8)
    assert (maps >= 0).all()
    linear = network.head.get_submodule("linear")
    assert isinstance(linear, nn.Linear)
    pooled = maps.amax((2, 3)) if pool == "max" else maps.mean((2, 3))
    torch.testing.assert_close(logits, pooled @ linear.weight.T + linear.bias)


def test_the_logits_of_a_network_set_by_hand() -> None:
    """Each convolution passes channel 0 on and the first doubles it; the batch norms halve; the head adds its bias."""
    network = SmallCNN(classes=2, widths=(1, 1), kernel=3, pool="average").eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for number in (1, 2, 3):
            network.get_parameter(f"features.conv{number}.weight")[0, 0, 1, 1] = 2 if number == 1 else 1
            network.get_parameter(f"features.bn{number}.weight").fill_(0.5 * math.sqrt(1 + 1e-5))
        network.get_parameter("head.linear.weight").copy_(torch.tensor([[1.0], [-8.0]]))
        network.get_parameter("head.linear.bias").copy_(torch.tensor([0.0, 1.0]))
    image = torch.tensor([[1.0, 2, 0, -1], [3, 4, -2, -3], [0, 0, 8, 0], [0, 0, 0, 0]]).expand(1, 3, 4, 4)

    with torch.inference_mode():
        maps, logits = network.features(image), network(image)

    # The largest of each quarter, 4, 0, 0 and 8, doubled once and halved three times.
    torch.testing.assert_close(maps, torch.tensor([[[[1.0, 0], [0, 2]]]]))
    torch.testing.assert_close(logits, torch.tensor([[0.75, -5.0]]))


def test_small_cnn_halves_the_resolution_once_in_each_stage_but_the_last() -> None:
    network = SmallCNN(classes=2, widths=(2, 3, 4))
    pools = [name for name, module in network.features.named_children() if isinstance(module, nn.MaxPool2d)]
    kernels = [tuple(m.weight.shape) for m in network.features if isinstance(m, nn.Conv2d)]

    assert pools == ["pool1", "pool2"]
    assert kernels == [(2, 3, 5, 5), (3, 2, 3, 3), (3, 3, 3, 3), (4, 3, 3, 3), (4, 4, 3, 3)]


def test_alexnet_is_torchvision_s_module_by_module() -> None:
    torch.manual_seed(0)
    ours = alexnet(5)
    torch.manual_seed(0)
    theirs = torchvision.models.alexnet(num_classes=5)
    assert repr(ours) == repr(theirs)
    pairs = zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True)
    assert all(name == other and torch.equal(one, two) for (name, one), (other, two) in pairs)
    batch = pixels(2, 3, 64, 80).float() / 64 - 2
    with torch.no_grad():
        assert torch.equal(ours.eval()(batch), theirs.eval()(batch))


def test_widened_alexnet_is_the_same_function() -> None:
    with torch.device("meta"):  # no time for weights that are replaced at once
        small, full = alexnet(5, grid=3).eval(), alexnet(5).eval()
    initialise(small.to_empty(device="cpu"), seed=0)
    full.load_state_dict(widen(small.state_dict()), assign=True)
    images = normalise(pixels(2, 3, 128, 128), WAY)

    with torch.inference_mode():
        expected, found = small(images), full(images)

    assert expected.std() > 0.1  # not all logits alike
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_widen_shares_a_cell_among_those_that_repeat_it() -> None:
    weight = torch.zeros(1, 256 * 9)
    weight[0, 0], weight[0, 8] = 4.0, 8.0  # channel 0: top left and bottom right of 3 x 3
    state = {"classifier.1.weight": weight, "classifier.1.bias": torch.ones(1)}

    widened = widen(state)

    cells = widened["classifier.1.weight"].view(256, 6, 6)
    expected = torch.zeros(256, 6, 6)
    expected[0, :2, :2], expected[0, 4:, 4:] = 1.0, 2.0
    assert torch.equal(cells, expected)
    assert torch.equal(widened["classifier.1.bias"], torch.ones(1))
    assert state["classifier.1.weight"].shape == (1, 256 * 9)  # the argument is as it was


def test_initialise_follows_the_seed_alone() -> None:
    first, second, other = (initialise(SmallCNN(4, (4, 4)), seed).state_dict() for seed in (1, 1, 2))

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["features.conv1.weight"], other["features.conv1.weight"])


def test_initialise_leaves_the_global_seed_alone() -> None:
    network = SmallCNN(4, (4, 4))
    before = torch.get_rng_state()

    initialise(network, 0)

    assert torch.equal(torch.get_rng_state(), before)


def test_initialise_is_he_and_the_first_loss_is_that_of_guessing() -> None:
    network = initialise(SmallCNN(30, dropout=0), seed=0).train()  # dropout would draw from the global seed
    kernels = network.state_dict()["features.conv3.weight"]

    with torch.no_grad():
        logits = network(normalise(pixels(60, 3, 32, 32), WAY))
    loss = float(F.cross_entropy(logits, torch.arange(60) % 30))

    assert float(kernels.std()) == pytest.approx(math.sqrt(2 / (9 * 96)), rel=0.02)
    assert loss == pytest.approx(math.log(30), abs=0.2)


@pytest.mark.parametrize("affine", [True, False])
def test_scale_and_shift_are_batch_norm_in_eval_mode(affine: bool) -> None:
    norm = nn.BatchNorm2d(4, affine=affine).eval()
    with torch.no_grad():
        for place, tensor in enumerate(norm.state_dict().values()):
            tensor.copy_(torch.arange(1, tensor.numel() + 1).view(tensor.shape) + place)
    maps = torch.rand(2, 4, 3, 3)

    scale, shift = (each.float().view(1, 4, 1, 1) for each in scale_and_shift(norm))

    torch.testing.assert_close(maps * scale + shift, norm(maps))


def test_later_convolutions_start_by_passing_on_what_comes_in() -> None:
    network = SmallCNN(2, (4, 6, 5))
    initialise(network, seed=0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pass_on(network)
    maps = torch.rand(2, 6, 5, 5)
    layers = dict(network.features.named_children())

    with torch.no_grad():
        more, same, fewer = layers["conv2"](maps[:, :4]), layers["conv3"](maps), layers["conv4"](maps)

    torch.testing.assert_close(more[:, :4], math.sqrt(2) * maps[:, :4])
    torch.testing.assert_close(same, math.sqrt(2) * maps)
    torch.testing.assert_close(fewer, math.sqrt(2) * maps[:, :5])
    after = network.state_dict()
    assert torch.equal(after["features.conv1.weight"], before["features.conv1.weight"])
    assert torch.equal(after["features.conv2.weight"][4:], before["features.conv2.weight"][4:])


@pytest.mark.parametrize(("size", "resize"), [(128, None), (224, 256), (64, None), (56, 64)])
def test_fitted_is_pillow_to_the_last_bit(size: int, resize: int | None) -> None:
    images = pixels(2, 3, 64, 64)

    found = fitted(images, square_input(size, resize or 0))

    for image, one in zip(images, found, strict=True):
        expected = square(image.permute(1, 2, 0).numpy(), size, resize)
        assert np.array_equal(one.permute(1, 2, 0).numpy(), expected)


def test_fitted_is_within_two_levels_of_pillow_when_it_shrinks() -> None:
    image = pixels(1, 3, 64, 64)

    found = fitted(image, square_input(48))[0].permute(1, 2, 0).numpy().astype(int)

    assert np.abs(found - square(image[0].permute(1, 2, 0).numpy(), 48)).max() <= 2


def test_normalise_by_hand() -> None:
    image = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)

    found = normalise(image, WAY).flatten().tolist()

    assert found == pytest.approx([-0.485 / 0.229, (1 - 0.456) / 0.224, (0.2 - 0.406) / 0.225], abs=1e-6)


def test_normalise_sends_the_mean_to_zero_and_one_deviation_to_one() -> None:
    mean, deviation = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)

    found = normalise(255 * torch.cat([mean, mean + deviation]), WAY)

    torch.testing.assert_close(found, torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1), atol=1e-5, rtol=0)


def test_construct_makes_what_the_record_names() -> None:
    small = SMALL_CNN.construct(7, widths=(4, 6))
    foreign = named.architecture("torchvision.models:squeezenet1_1", Path()).construct(7)

    assert isinstance(small, SmallCNN)
    assert [tuple(p.shape) for p in small.head.parameters()] == [(7, 6), (7,)]
    assert type(foreign).__name__ == "SqueezeNet"
    assert foreign.state_dict()["classifier.1.weight"].shape[0] == 7


def test_small_cnns_stages_end_with_a_rectifier() -> None:
    own = SMALL_CNN.stages
    assert own is not None
    assert own(SmallCNN(2, (2, 2, 2, 2))) == [f"features.relu{number}" for number in (1, 3, 5, 7)]
    assert own(SmallCNN(2, (2, 2))) == ["features.relu1", "features.relu3"]
    assert own(SmallCNN(2, (2, 2, 2), depths=(2, 3, 1))) == [f"features.relu{number}" for number in (2, 5, 6)]


def test_stages_of_alexnet_are_activations_and_poolings_of_its_features() -> None:
    with torch.device("meta"):
        network = alexnet(2)

    assert ALEXNET.stages is not None
    own = ALEXNET.stages(network)
    found = [type(network.get_submodule(name)).__name__ for name in own]

    assert own[-1] == "features.12"
    assert found == ["MaxPool2d", "MaxPool2d", "ReLU", "ReLU", "MaxPool2d"]


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (SmallCNN(5, (4, 8, 16)), (3, 64, 64)),
        (SmallCNN(5, (4, 8), kernel=7, pool="average", depths=(2, 1)), (3, 33, 47)),
        (SmallCNN(3, (4,), kernel=1), (3, 1, 1)),
        (alexnet(30), (3, 128, 128)),
        (alexnet(7, grid=3), (3, 63, 71)),
    ],
)
def test_the_largest_output_is_that_of_a_pass(network: nn.Module, shape: tuple[int, int, int]) -> None:
    sizes: list[int] = []

    def note(_module: nn.Module, _args: object, output: Tensor) -> None:
        sizes.append(output.numel())

    for module in network.modules():
        module.register_forward_hook(note)
    with torch.no_grad():
        network.eval()(torch.zeros(1, *shape))
    assert largest_output(network, shape) == max(sizes)


@pytest.mark.parametrize(("network", "side"), [(SmallCNN(5, (4, 8, 16)), 3), (alexnet(30), 62)])
def test_a_photo_that_cannot_pass_is_told(network: nn.Module, side: int) -> None:
    with pytest.raises(RuntimeError):
        network.eval()(torch.zeros(1, 3, side, side))
    with pytest.raises(RuntimeError, match="smaller than what a layer"):
        largest_output(network, (3, side, side))


def test_a_layer_for_other_numbers_is_told() -> None:
    with pytest.raises(RuntimeError, match="for 12 numbers is given 27"):
        largest_output(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 3, 3))
