"""The same network in odd dress: its map is the one that captum gives of the plain one, or one line says why not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from generator import explain
from generator.base.errors import InputError
from generator.explain.methods import METHODS
from generator.networks import devices
from tests.explain.nets import assert_same, images, seeded

TARGETS = [0, 2]
BATCH = images(2, 3, 16, 24)


class Plain(nn.Module):
    """Two convolutions, each rectified, averaged and weighed."""

    def __init__(self, channels: int = 3, classes: int = 3) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU()
        self.conv2, self.bn, self.relu2 = nn.Conv2d(6, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU()
        self.fc = nn.Linear(6, classes)

    def stem(self, batch: Tensor) -> Tensor:
        return self.relu1(self.conv1(batch))  # type: ignore[no-any-return]

    def maps(self, batch: Tensor) -> Tensor:
        return self.relu2(self.bn(self.conv2(self.stem(batch))))  # type: ignore[no-any-return]

    def forward(self, batch: Tensor) -> Any:
        return self.fc(self.maps(batch).mean((2, 3)))


class Functions(Plain):
    def maps(self, batch: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv2(torch.relu_(self.conv1(batch)))), inplace=True)


class Twice(Plain):
    """One ReLU runs after each convolution."""

    def maps(self, batch: Tensor) -> Tensor:
        return self.relu1(self.bn(self.conv2(self.relu1(self.conv1(batch)))))  # type: ignore[no-any-return]


class Pair(Plain):
    def forward(self, batch: Tensor) -> Any:
        return super().forward(batch), batch


class Mapping(Plain):
    def forward(self, batch: Tensor) -> Any:
        return {"loss": None, "logits": super().forward(batch)}


class LogSoftmax(Plain):
    def forward(self, batch: Tensor) -> Any:
        return F.log_softmax(super().forward(batch), 1)


class Sigmoid(Plain):
    def forward(self, batch: Tensor) -> Any:
        return torch.sigmoid(super().forward(batch))


class Probe(Plain):
    """Its backbone keeps no gradients, as where only the head is trained."""

    @torch.no_grad()
    def maps(self, batch: Tensor) -> Tensor:
        return super().maps(batch)


class Overwriting(Plain):
    """What comes after its maps overwrites them."""

    def forward(self, batch: Tensor) -> Any:
        maps = self.maps(batch)
        return self.fc(maps.mul_(1.0).mean((2, 3)))


class Lists(Plain):
    """Modules in a list, called in another order than they are registered in."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList([self.relu2, self.bn, self.conv2])

    def maps(self, batch: Tensor) -> Tensor:
        found = self.stem(batch)
        for step in reversed(self.steps):
            found = step(found)
        return found


class Keywords(Plain):
    """Everything within is called by keyword, functions too."""

    def maps(self, batch: Tensor) -> Tensor:
        found = self.relu1(input=self.conv1(input=batch))
        return self.relu2(input=self.bn(input=self.conv2(input=found)))  # type: ignore[no-any-return]

    def forward(self, batch: Tensor) -> Any:
        pooled = F.adaptive_avg_pool2d(input=self.maps(batch), output_size=1)
        return self.fc(input=torch.flatten(input=pooled, start_dim=1))


class Named(Plain):
    """As transformers' models: its images have a name, and there is more that could be given."""

    def forward(self, pixel_values: Tensor | None = None, labels: Tensor | None = None) -> Any:
        assert pixel_values is not None
        return {"loss": labels, "logits": super().forward(pixel_values)}


class Body(nn.Module):
    """Takes a dictionary, also by keyword, and gives one."""

    def __init__(self, network: Plain) -> None:
        super().__init__()
        self.maps = network.maps

    def forward(self, *, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"maps": self.maps(batch["image"]), **batch}


class Dictionaries(Plain):
    """What its parts hand on is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body(self)

    def forward(self, batch: Tensor) -> Any:
        found = self.body(batch={"image": batch})
        return {"logits": self.fc(found["maps"].mean((2, 3))), "given": found}


class Clamping(torch.autograd.Function):
    """A rectifier of somebody's own."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        return values.clamp(min=0.0)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return gradient


class Custom(Plain):
    """A function with a gradient of its own reads its maps: what it calls within itself has none."""

    def maps(self, batch: Tensor) -> Tensor:
        return Clamping.apply(super().maps(batch))  # type: ignore[no-any-return]


class Odd(NamedTuple):
    make: Callable[[], Any]
    layer: str | None = None  # None: as chosen
    chosen: str = "relu2"
    dress: Callable[[Any], Any] = lambda network: network
    batch: Callable[[Tensor], Tensor] = lambda batch: batch
    around: Callable[[], Any] = nullcontext
    tolerance: float = 1e-5


@contextmanager
def ungraded() -> Iterator[None]:
    with torch.inference_mode():
        yield


ODD: dict[str, Odd] = {
    "functions": Odd(Functions, chosen="bn+relu"),
    "a module that runs twice": Odd(Twice, chosen="relu1"),
    "a tuple": Odd(Pair),
    "a mapping": Odd(Mapping),
    "a log-softmax": Odd(LogSoftmax),
    "a sigmoid": Odd(Sigmoid),
    "no gradients in the backbone": Odd(Probe),
    "maps that are overwritten": Odd(Overwriting, chosen="relu2+mul"),
    "a list": Odd(Lists),
    "a custom function": Odd(Custom),
    "calls by keyword": Odd(Keywords),
    "images with a name": Odd(Named),
    "dictionaries between its parts": Odd(Dictionaries),
    "frozen": Odd(Plain, dress=lambda network: network.requires_grad_(False)),
    "in train mode": Odd(Plain, dress=lambda network: network.train()),
    "under no_grad": Odd(Plain, around=torch.no_grad),
    "under inference_mode": Odd(Plain, around=ungraded),
    "channels last in memory": Odd(
        Plain,
        dress=lambda network: network.to(memory_format=torch.channels_last),
        batch=lambda batch: batch.contiguous(memory_format=torch.channels_last),
    ),
    "bfloat16": Odd(
        Plain, dress=lambda network: network.bfloat16(), batch=lambda batch: batch.bfloat16(), tolerance=0.05
    ),
    "float16": Odd(Plain, dress=lambda network: network.half(), batch=lambda batch: batch.half(), tolerance=0.01),
    "float64": Odd(Plain, dress=lambda network: network.double(), batch=lambda batch: batch.double()),
    "DataParallel": Odd(Plain, chosen="module.relu2", dress=nn.DataParallel),
    "compiled": Odd(Plain, chosen="_orig_mod.relu2", dress=lambda network: torch.compile(network, backend="eager")),
    "a whole within another": Odd(Plain, chosen="0", dress=nn.Sequential, layer="0.relu2"),
    "images that want gradients": Odd(Plain, batch=lambda batch: batch.clone().requires_grad_()),
}


def captums(network: Any, batch: Tensor, targets: Any = TARGETS, layer: str = "relu2") -> Tensor:
    peer = LayerGradCam(network, network.get_submodule(layer))
    found: Tensor = peer.attribute(batch, torch.tensor(targets), relu_attributions=True).detach()[:, 0]
    return found


@pytest.mark.parametrize("name", ODD)
def test_the_map_is_captums_of_the_plain_network(name: str) -> None:
    odd, plain = ODD[name], seeded(Plain)
    network = seeded(odd.make)
    network.load_state_dict({**network.state_dict(), **plain.state_dict()})
    network, batch = odd.dress(network), odd.batch(BATCH)
    with odd.around():
        found = explain.grad_cam(network, batch, TARGETS, odd.layer)
        if odd.layer is None:
            assert explain.choose_layer(network, batch) == odd.chosen
    assert_same(found, captums(plain, BATCH), odd.tolerance)
    if name != "under inference_mode":
        assert not found.requires_grad


@pytest.mark.parametrize("channels", [1, 2, 5, 11])
def test_any_number_of_channels(channels: int) -> None:
    network, batch = seeded(lambda: Plain(channels)), images(2, channels, 16, 24)
    assert_same(explain.grad_cam(network, batch, TARGETS), captums(network, batch))


def test_one_logit() -> None:
    network: Any = seeded(lambda: Plain(classes=1))
    network.fc.weight.data.abs_()
    assert_same(explain.grad_cam(network, BATCH), captums(network, BATCH, [0, 0]))


def test_one_logit_of_one_image_squeezed() -> None:
    """As the last part of a batch is one image: of several the logits are (N,), of one ()."""

    class Squeezed(Plain):
        def forward(self, batch: Tensor) -> Any:
            return super().forward(batch).squeeze()

    network, plain = seeded(lambda: Squeezed(classes=1)), seeded(lambda: Plain(classes=1))
    three = images(3, 3, 16, 24)
    for batch in (BATCH[:1], three):
        assert_same(explain.grad_cam(network, batch), explain.grad_cam(plain, batch))
        found = [explain.integrated_gradients(each, batch, batch_size=2, steps=3) for each in (network, plain)]
        assert_same(found[0], found[1])


METHODS_OF_ALL = [explain.grad_cam, explain.occlude, explain.integrated_gradients, explain.layer_choice]


@pytest.mark.parametrize("method", METHODS_OF_ALL)
def test_what_has_no_parameters_yet_is_not_given_any(method: Callable[..., Any]) -> None:
    class Lazy(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.LazyLinear(3)

    network: Any = Lazy()
    with pytest.raises(InputError, match="its LazyLinear makes them in its first pass"):
        method(network, BATCH)
    assert network.fc.has_uninitialized_params()


@pytest.mark.parametrize("method", METHODS_OF_ALL)
def test_what_is_no_module_is_told(method: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"expected an nn\.Module, got a function"):
        method(lambda batch: batch, BATCH)


def test_what_overwrites_what_its_gradients_need_is_told() -> None:
    class Spoiling(Plain):
        def maps(self, batch: Tensor) -> Tensor:
            return super().maps(batch).sigmoid().mul_(2.0)

    network = seeded(Spoiling)
    for method in (explain.integrated_gradients, partial(explain.grad_cam, layer="relu1")):
        with pytest.raises(InputError, match="its forward overwrites in place what they are calculated from"):
            method(network, BATCH)
    assert explain.occlude(network, BATCH, patch=8).drop.abs().max() > 0
    assert not any(module._forward_hooks for module in network.modules())


def test_thousands_of_classes() -> None:
    network = seeded(lambda: Plain(classes=21_843))
    assert_same(explain.grad_cam(network, BATCH, [3, 21_842]), captums(network, BATCH, [3, 21_842]))


def test_torchscript_is_told_what_to_do() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch means to do without
        scripted: Any = torch.jit.trace(seeded(Plain), BATCH)  # type: ignore[no-untyped-call]
    for ask in (explain.grad_cam, explain.choose_layer, explain.attention_rollout):
        with pytest.raises(InputError, match="it is TorchScript"):
            ask(scripted, BATCH)
    plain = seeded(Plain)
    torch.testing.assert_close(explain.occlude(scripted, BATCH).drop, explain.occlude(plain, BATCH).drop)
    torch.testing.assert_close(explain.rise(scripted, BATCH, masks=8), explain.rise(plain, BATCH, masks=8))


# Where captum is wrong


def test_captum_explains_the_log_probability_of_a_log_softmax() -> None:
    """Of a class that the network is sure of that is nearly flat: the map vanishes where the evidence is strongest."""
    plain: Any = seeded(Plain)
    ended: Any = seeded(LogSoftmax)
    with torch.no_grad():
        plain.fc.weight.mul_(200)
        ended.fc.weight.mul_(200)
    sure = plain(BATCH).argmax(1).tolist()
    assert captums(ended, BATCH, sure).amax() < 1e-3 * captums(plain, BATCH, sure).amax()
    assert_same(explain.grad_cam(ended, BATCH, sure), captums(plain, BATCH, sure))


def test_captum_has_no_word_for_tuples_and_no_gradient_past_no_grad() -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - an AssertionError of its own inner workings
        captums(seeded(Pair), BATCH)
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        captums(seeded(Probe), BATCH)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize("name", [name for name in METHODS if "attention" not in METHODS[name].asks])
def test_on_a_graphics_processor_maps_are_those_of_the_processor(name: str) -> None:
    network, batch = seeded(Plain), images(2, 3, 12, 10)
    layer = explain.choose_layer(network, batch)
    want = METHODS[name](network, batch, torch.tensor([0, 1]), layer)
    with devices.precise(torch.device("cuda")):
        found = METHODS[name](network.cuda(), batch.cuda(), torch.tensor([0, 1]).cuda(), layer)
    assert found.device.type == "cuda"
    assert_same(found.cpu(), want, 1e-3)


def through(before: Callable[[Tensor], Tensor] = lambda batch: batch, after: Any = lambda maps: maps) -> Any:
    """Plain, whose images or maps go through a function."""

    class Through(Plain):
        def forward(self, batch: Tensor) -> Any:
            return self.fc(after(self.maps(before(batch))).mean((2, 3)))

    return Through


def silenced(maps: Tensor) -> Tensor:
    maps[:, :2] = 0
    return maps


ON_THE_WAY: dict[str, Callable[[Tensor], Tensor]] = {
    "channels shuffled": lambda maps: maps.view(len(maps), 2, 3, *maps.shape[2:]).transpose(1, 2).reshape(maps.shape),
    "a Fourier transform": lambda maps: torch.fft.irfft2(torch.fft.rfft2(maps) * 2, s=maps.shape[2:]),
    "enlarged": lambda maps: F.interpolate(maps, scale_factor=2, mode="bilinear"),
    "channels silenced in place": silenced,
    "mirrored": lambda maps: maps.flip(3),
    "every other cell": lambda maps: maps[:, :, ::2, ::2],
    "recomputed": lambda maps: checkpoint(lambda given: given.flip(3) * 2, maps, use_reentrant=False),
}


@pytest.mark.parametrize("name", ON_THE_WAY)
def test_what_becomes_of_the_maps_is_followed(name: str) -> None:
    network = seeded(through(after=ON_THE_WAY[name]))
    found = explain.grad_cam(network, BATCH, TARGETS)
    assert explain.choose_layer(network, BATCH) == "relu2"
    assert_same(found, captums(network, BATCH))


def halves(batch: Tensor) -> Tensor:
    return torch.cat([batch[..., 12:], batch[..., :12]], 3)


ACROSS = torch.tensor([[-1.0, 0, 0], [0, 1, 0]])
ROWS = torch.randperm(16, generator=torch.Generator().manual_seed(3))
MOVING: dict[str, Callable[[Tensor], Tensor]] = {
    "flip": lambda batch: batch.flip(3),
    "roll": lambda batch: batch.roll(6, 3),
    "rot90": lambda batch: torch.rot90(batch, 2, (2, 3)),
    "index": lambda batch: batch[:, :, ROWS],
    "cat": halves,
    "index_copy": lambda batch: torch.zeros_like(batch).index_copy(2, ROWS, batch),
    "grid_sampler_2d": lambda batch: F.grid_sample(
        batch,
        F.affine_grid(torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]] * len(batch)), [*batch.shape]),
        align_corners=False,
    ),
}


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.filterwarnings("ignore:Default grid_sample and affine_grid behavior")
def test_cells_that_do_not_lie_over_the_image_are_no_layer_to_choose(name: str) -> None:
    """Their map would be drawn where the network did not look."""
    network = seeded(through(MOVING[name]))
    with pytest.raises(InputError, match=f"'relu2' do not lie where they stand over the image, because of {name}"):
        explain.grad_cam(network, BATCH, TARGETS)
    assert_same(explain.grad_cam(network, BATCH, TARGETS, "relu2"), captums(network, BATCH))


def test_rows_that_are_taken_for_columns_are_told() -> None:
    with pytest.raises(InputError, match="the rows of the model's maps are columns of the image"):
        explain.grad_cam(seeded(through(lambda batch: batch.transpose(2, 3))), BATCH, TARGETS)


def test_a_mirrored_second_look_is_no_layer_to_choose() -> None:
    class Twofold(Plain):
        def forward(self, batch: Tensor) -> Any:
            return super().forward(batch) + super().forward(batch.flip(3))

    with pytest.raises(InputError, match="'relu2' do not lie where they stand over the image, because of flip"):
        explain.grad_cam(seeded(Twofold), BATCH, TARGETS)


def test_cells_that_are_put_back_are_a_layer_to_choose() -> None:
    network = seeded(through(lambda batch: batch.roll(6, 3).roll(-6, 3)))
    assert explain.layer_choice(network, BATCH).layer == "relu2"
    assert_same(explain.grad_cam(network, BATCH, TARGETS), captums(seeded(Plain), BATCH))


def test_an_earlier_layer_that_lies_over_the_image_is_chosen() -> None:
    class Turning(Plain):
        def maps(self, batch: Tensor) -> Tensor:
            return self.relu2(self.bn(self.conv2(self.stem(batch).flip(2))))  # type: ignore[no-any-return]

    network = seeded(Turning)
    assert explain.layer_choice(network, BATCH).layer == "relu1"
    assert_same(explain.grad_cam(network, BATCH, TARGETS), captums(network, BATCH, layer="relu1"))


@pytest.mark.parametrize("cut", [lambda batch: batch[..., :12], lambda batch: F.pad(batch, (0, 24))])
def test_cells_over_one_side_of_the_image_are_no_layer_to_choose(cut: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(InputError, match="'relu2' lie over one side of the image, as the model cuts or pads it"):
        explain.grad_cam(seeded(through(cut)), BATCH, TARGETS)


@pytest.mark.parametrize(
    "together", [lambda batch: torch.cat([batch, batch.flip(3)]), lambda batch: batch.repeat(5, 1, 1, 1)]
)
def test_several_looks_in_one_batch_are_told(together: Callable[[Tensor], Tensor]) -> None:
    class Looks(Plain):
        def forward(self, batch: Tensor) -> Any:
            return super().forward(together(batch)).view(-1, len(batch), 3).mean(0)

    network = seeded(Looks)
    with pytest.raises(InputError, match=r"layer 'relu2': expected feature maps \(2, C, h, w\), got \((4|10), 6"):
        explain.grad_cam(network, BATCH, TARGETS)
    assert explain.occlude(network, BATCH, TARGETS).drop.shape[0] == 2


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_reentrant_checkpoints_are_told() -> None:
    class Saving(Plain):
        def forward(self, batch: Tensor) -> Any:
            return self.fc(checkpoint(self.maps, batch, use_reentrant=True).mean((2, 3)))

    with pytest.raises(InputError, match=r"forward turns gradients off"):
        explain.grad_cam(seeded(Saving), BATCH, TARGETS)


def test_a_part_that_gives_a_dictionary_is_no_layer() -> None:
    with pytest.raises(InputError, match=r"layer 'body': expected feature maps \(2, C, h, w\), got a dict"):
        explain.grad_cam(seeded(Dictionaries), BATCH, TARGETS, "body")


class Dropping(nn.Module):
    """Two channels that are given, a dropout of their means that is never turned off, and the weights 1 and -3."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 2, 1, bias=False), nn.Linear(2, 1, bias=False)
        self.conv.weight = nn.Parameter(torch.eye(2).view(2, 2, 1, 1))
        self.fc.weight = nn.Parameter(torch.tensor([[1.0, -3.0]]))

    def forward(self, batch: Tensor) -> Tensor:
        logits: Tensor = self.fc(F.dropout(self.conv(batch).mean((2, 3)), 0.5))
        return torch.cat([logits, -logits], 1)


def test_a_dropout_that_is_never_off_gives_each_map_by_one_draw() -> None:
    """A weight is 0 or twice as large, and a quarter of it goes to each of four cells: one of four maps each time."""
    images = torch.tensor([[[[4.0, 0], [0, 0]], [[0, 8.0], [4, 0]]]])
    ones, threes = images[0, 0] / 2, 1.5 * images[0, 1]
    wanted = {
        "none": 0 * ones,
        "the first": ones,
        "the second": 0 * ones,  # it speaks against the first class
        "against": threes,
    }
    network = Dropping().eval()
    seen = set()
    for seed in range(24):
        torch.manual_seed(seed)
        for target, able in ((0, ("none", "the first", "the second")), (1, ("none", "against"))):
            found = explain.grad_cam(network, images, [target], "conv")[0]
            names = [name for name in able if torch.allclose(found, wanted[name])]
            assert names, found
            seen.update(names)
    assert seen == set(wanted)
    assert not network.training
