"""Models that go their own way: what a module's type, name or hooks would promise is not what its forward does.

Each is explained as automatic differentiation explains it, or refused with the true cause.
"""

from __future__ import annotations

# mypy: allow-untyped-calls, no-warn-unused-ignores
import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint
from torchvision import models

from generator import explain
from generator.base.errors import InputError
from generator.evaluation import perturbation
from generator.explain import cam
from tests.explain.nets import assert_same, images, plain, seeded
from tests.explain.test_laws import METHODS, traces


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5)
    )


BATCH = images(2, 3, 12, 10)


# A forward of one's own


def replaced(network: Any) -> None:
    before, added = network[4].forward, images(5, 24)
    network[4].forward = lambda values: before(values) + F.linear(values, added)


def replaced_pooling(network: Any) -> None:
    network[2].forward = lambda values: F.adaptive_avg_pool2d(values, 2) ** 2


def scaled_before(network: Any) -> None:
    network[4].register_forward_pre_hook(lambda _module, args: (args[0] * torch.arange(24.0),))


def swapped_for_the_pass(network: Any) -> None:
    """As off-loading does: the weights are there only while the layer runs."""
    weight, nothing = nn.Parameter(images(5, 24)), nn.Parameter(torch.zeros(5, 24))
    network[4].register_forward_pre_hook(lambda module, _args: setattr(module, "weight", weight))
    network[4].register_forward_hook(lambda module, _args, _out: setattr(module, "weight", nothing))


def other_weights(network: Any) -> None:
    """functional_call puts others in the place of the parameters, and takes them out again."""
    linear, weight = network[4], images(5, 24, seed=2)

    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = linear

        def forward(self, values: Tensor) -> Any:
            return torch.func.functional_call(self.linear, {"weight": weight.to(values)}, (values,))

    network[4] = Called()


def weight_norm(network: Any) -> None:
    parametrizations.weight_norm(network[4])
    network[4].parametrizations.weight.original0.data *= 3


def spectral_norm(network: Any) -> None:
    parametrizations.spectral_norm(network[4])


def subclassed(network: Any) -> None:
    class Cosine(nn.Linear):
        def forward(self, values: Tensor) -> Tensor:
            return F.linear(F.normalize(values), F.normalize(self.weight))

    network[4] = Cosine(24, 5)


class Reversal(torch.autograd.Function):
    """The same memory, with a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return -2 * gradient


class Own(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)


def reversed_gradient(network: Any) -> None:
    network[3] = nn.Sequential(nn.Flatten(), Own(Reversal.apply))


def hooked_gradient(network: Any) -> None:
    def flatten(values: Tensor) -> Tensor:
        values.register_hook(lambda gradient: gradient * torch.arange(6.0).view(1, 6, 1, 1))
        return values.flatten(1)

    network[3] = Own(flatten)


def backward_hook(network: Any) -> None:
    network[4].register_full_backward_hook(lambda _module, given, _out: (given[0] * torch.arange(24.0),))


def old_backward_hook(network: Any) -> None:
    """Of the kind that leaves no trace in what the module gives."""
    scale = torch.arange(6.0).view(1, 6, 1, 1)
    network[2].register_backward_hook(lambda _module, given, _out: (given[0] * scale,))


WAYS = {
    function.__name__: function
    for function in (
        replaced,
        replaced_pooling,
        scaled_before,
        swapped_for_the_pass,
        other_weights,
        weight_norm,
        spectral_norm,
        subclassed,
        reversed_gradient,
        hooked_gradient,
        backward_hook,
        old_backward_hook,
    )
}


def by_autograd(network: nn.Module, batch: Tensor, layer: str) -> Tensor:
    """Grad-CAM by its definition, of the network itself: some of these cannot be copied."""
    maps: list[Tensor] = []
    zeros: list[Tensor] = []

    def keep(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        maps.append(output.detach())
        zeros.append(torch.zeros_like(output).requires_grad_())
        return output + zeros[-1]

    with network.get_submodule(layer).register_forward_hook(keep):
        logits = network.eval()(batch)
    found = []
    for target in range(logits.shape[1]):
        (gradient,) = torch.autograd.grad(logits[:, target].sum(), zeros[-1], retain_graph=True)
        found.append((gradient.mean((2, 3), keepdim=True) * maps[-1]).sum(1).relu())
    return torch.stack(found, 1)


@pytest.mark.parametrize("way", WAYS)
def test_what_a_forward_does_counts_and_not_what_its_type_promises(way: str) -> None:
    network: Any = seeded(small)
    closed = explain.grad_cam_all(network, BATCH, "1")
    WAYS[way](network.requires_grad_(True))
    want = by_autograd(network, BATCH, "1")
    assert (want - closed).abs().max() > 1e-3, "the test would pass with the closed form"
    assert_same(explain.grad_cam_all(network, BATCH, "1").flatten(1), want.flatten(1))


class Functional(nn.Module):
    """A head without modules but for its weights."""

    def __init__(self, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.pool = pool
        cells = pool(torch.zeros(1, 1, 12, 10)).numel()
        self.fc1, self.fc2 = nn.Linear(6 * cells, 16), nn.Linear(16, 5)

    def forward(self, batch: Tensor) -> Tensor:
        pooled = self.pool(F.relu(self.conv(batch)))
        hidden = F.dropout(F.relu(self.fc1(torch.flatten(pooled, 1)), inplace=True), training=self.training)
        logits: Tensor = self.fc2(hidden)
        return logits


POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda maps: maps.mean((2, 3)),
    "mean, axes from the end": lambda maps: torch.mean(maps, dim=[-1, -2], keepdim=True),
    "maximum": lambda maps: maps.amax((2, 3)),
    "windows": lambda maps: F.max_pool2d(maps, 3, 2, 1),
    "averages": lambda maps: F.adaptive_avg_pool2d(maps, (4, 3)),
    "averages of windows": lambda maps: F.avg_pool2d(maps, 2),
}


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize("layer", ["conv+relu", "conv"])
def test_a_head_of_functions_needs_no_way_back(
    pool: Callable[[Tensor], Tensor], layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network: Any = seeded(lambda: Functional(pool))
    network.conv.bias.data += 1  # not zero everywhere
    if layer == "conv+relu":
        want = plain_functions(network)
        monkeypatch.setattr(cam, "gradients", None)  # would be called
        for form in (torch.contiguous_format, torch.channels_last):
            batch = BATCH.to(memory_format=form)
            assert_same(explain.grad_cam_all(network, batch, layer).flatten(1), want.flatten(1))
            assert_same(explain.grad_cam(network, batch, [3, 1], layer)[0], want[0, 3])
    else:  # a rectifier before the pooling lets no sums through
        assert_same(explain.grad_cam_all(network, BATCH, layer), plain(network, BATCH, layer))


NO_SUMS: dict[str, Callable[[Tensor], Tensor]] = {
    "padding that counts": lambda maps: F.avg_pool2d(maps, 3, 2, 1),
    "another divisor": lambda maps: F.avg_pool2d(maps, 2, divisor_override=3),
    "rows": lambda maps: maps.mean(3, keepdim=True),
    "a threshold": lambda maps: F.relu(maps - 0.5).mean((2, 3)),
}


@pytest.mark.parametrize("pool", NO_SUMS.values(), ids=NO_SUMS)
def test_windows_that_do_not_hand_gradients_on_whole_go_the_way_back(pool: Callable[[Tensor], Tensor]) -> None:
    network: Any = seeded(lambda: Functional(pool))
    assert_same(explain.grad_cam_all(network, BATCH, "conv+relu"), plain_functions(network))


def plain_functions(network: Any) -> Tensor:
    """Grad-CAM of a `Functional` at its first rectifier, by what follows it."""

    def logits(maps: Tensor) -> Tensor:
        hidden: Tensor = network.fc1(network.pool(maps).flatten(1))
        return network.fc2(hidden.relu()).sum(0)  # type: ignore[no-any-return]

    maps = network.conv(BATCH).relu().detach()
    rows: Any = torch.autograd.functional.jacobian(logits, maps)  # (K, N, C, h, w)
    return torch.einsum("knc,nchw->nkhw", rows.mean((3, 4)), maps).relu()


class OwnMode(nn.Module):
    """Runs a part of it within a mode of its own, which begins before a layer and ends after it."""

    def __init__(self, ending: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body: Any = small()
        self.ending = ending

    def forward(self, batch: Tensor) -> Tensor:
        with torch.device("cpu"):
            maps = self.body[1](self.body[0](batch))
        return self.ending(self.body[2:](maps))


@pytest.mark.parametrize("ending", [nn.Identity(), nn.LogSoftmax(1)])
def test_a_mode_of_the_models_own_ends_where_it_would(ending: nn.Module) -> None:
    network: Any = seeded(lambda: OwnMode(ending))
    choice = explain.layer_choice(network, BATCH)
    assert choice.layer == "body.1"
    before = traces(network)
    want = plain(network.body, BATCH, "1")
    assert_same(explain.grad_cam_all(network, BATCH, choice), want)
    assert_same(explain.grad_cam_all(network, BATCH, "body.1"), want)
    assert traces(network) == before


# Modules that run twice


class Shared(nn.Module):
    """One ReLU after both convolutions and after a linear layer, and one convolution that ends with one cell."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.fc1 = nn.Linear(6 * 3 * 2, 8)
        self.fc2 = nn.Linear(8, 5)

    def forward(self, batch: Tensor) -> Tensor:
        maps = self.pool(self.relu(self.conv1(batch)))
        maps = self.pool(self.relu(self.conv2(maps)))
        logits: Tensor = self.fc2(self.relu(self.fc1(maps.flatten(1))))
        return logits


class First(nn.Module):
    """A ReLU that runs on a vector before it runs on the maps."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 6)
        self.conv = nn.Conv2d(3, 6, 3)
        self.relu = nn.ReLU()
        self.head = nn.Linear(6, 5)

    def forward(self, batch: Tensor) -> Tensor:
        scale = self.relu(self.embed(batch.mean((2, 3))))
        logits: Tensor = self.head(self.relu(self.conv(batch) * scale[:, :, None, None]).mean((2, 3)))
        return logits


def test_of_a_module_that_runs_twice_the_last_run_counts() -> None:
    network: Any = seeded(Shared)
    assert explain.choose_layer(network, BATCH) == "conv2"
    assert_same(explain.grad_cam_all(network, BATCH), plain(network, BATCH, "conv2"))
    for method in (explain.grad_cam, explain.score_cam):
        with pytest.raises(InputError, match=r"'relu': expected .* from the last of its 3 runs, got \(2, 8\)"):
            method(network, BATCH, [0, 1], "relu")
    network = seeded(First)
    assert_same(explain.grad_cam_all(network, BATCH, "relu"), plain(network, BATCH, "relu"))
    assert explain.feature_maps(network, BATCH, ["relu"])["relu"].shape == (2, 6, 10, 8)


# torch.compile and torch.jit


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
def test_what_torch_compiled_is_explained_as_it_was_written(backend: str) -> None:
    network: Any = seeded(small)
    front: Any = torch.compile(network[:2], backend=backend)
    half = nn.Sequential(front, network[2:])
    whole = torch.compile(copy.deepcopy(network), backend=backend)
    itself = copy.deepcopy(network)
    itself.compile(backend=backend)
    with torch.no_grad():
        for compiled in (half, whole, itself):
            compiled(BATCH)  # from now on its hooks are forgotten
    guided = explain.guided_backprop(network, BATCH, [0, 1])
    for compiled, layer in ((half, "0._orig_mod.1"), (whole, "_orig_mod.1"), (itself, "1")):
        assert isinstance(compiled, nn.Module)
        assert_same(explain.grad_cam_all(compiled, BATCH), explain.grad_cam_all(network, BATCH))
        assert_same(explain.grad_cam_all(compiled, BATCH, layer), explain.grad_cam_all(network, BATCH, "1"))
        assert_same(explain.guided_backprop(compiled, BATCH, [0, 1]), guided)
        assert explain.macs(compiled, (3, 12, 10)) == explain.macs(network, (3, 12, 10))


SCRIPTS: dict[str, Callable[[Any], Any]] = {
    "script": torch.jit.script,
    "trace": lambda network: torch.jit.trace(network, BATCH),
    "freeze": lambda network: torch.jit.freeze(torch.jit.script(network)),
    "part": lambda network: nn.Sequential(torch.jit.script(network[:2]), network[2:]),
}


@pytest.mark.parametrize("how", SCRIPTS)
@pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated
def test_torchscript_has_no_hooks_and_what_needs_none_works(how: str) -> None:
    network: Any = seeded(small)
    script: Any = SCRIPTS[how](network)
    looking: list[Callable[[], Any]] = [
        lambda: explain.grad_cam(script, BATCH),
        lambda: explain.guided_backprop(script, BATCH),
        lambda: explain.summary(script, (3, 12, 10)),
        lambda: explain.macs(script, (3, 12, 10)),
        lambda: explain.receptive_field(script, "0", 12),
    ]
    if how in ("script", "trace"):
        looking += [
            lambda: explain.grad_cam(script, BATCH, [0, 1], "1"),
            lambda: explain.feature_maps(script, BATCH, ["1"]),
        ]
    for call in looking:
        with pytest.raises(InputError, match="it is TorchScript"):
            call()
    assert_same(explain.occlude(script, BATCH, [0, 1]).probability, explain.occlude(network, BATCH, [0, 1]).probability)
    want = explain.integrated_gradients(network, BATCH, [0, 1], steps=4)
    assert_same(explain.integrated_gradients(script, BATCH, [0, 1], steps=4), want)
    if how == "part":  # what is not scripted can be looked at
        looked = nn.Sequential(network[:2], SCRIPTS["script"](network[2:]))
        assert_same(explain.grad_cam_all(looked, BATCH, "0"), explain.grad_cam_all(network, BATCH, "1"))


def test_containers_that_hand_on_are_explained() -> None:
    network: Any = seeded(small)
    want = explain.grad_cam_all(network, BATCH, "1")
    assert_same(explain.grad_cam_all(nn.DataParallel(network, []), BATCH, "module.1"), want)
    assert_same(explain.grad_cam_all(torch.fx.symbolic_trace(network), BATCH, "1"), want)
    spread = nn.DataParallel(network, [])
    spread.device_ids = [0, 1]
    with pytest.raises(
        InputError, match=r"DataParallel splits each batch over devices; explain what it holds, its \.module"
    ):
        explain.grad_cam(spread, BATCH)


def test_guided_backprop_is_never_the_plain_gradient() -> None:
    network: Any = seeded(small)
    with pytest.raises(InputError, match="no ReLU lies between"):
        explain.guided_backprop(nn.Sequential(nn.Flatten(), nn.Linear(360, 5)), BATCH)
    hidden = nn.Sequential(Own(lambda values: checkpoint(network[:2], values, use_reentrant=True)), network[2:])
    with pytest.raises(InputError, match="CheckpointFunctionBackward hides"):
        explain.guided_backprop(hidden, BATCH)
    shown = nn.Sequential(Own(lambda values: checkpoint(network[:2], values, use_reentrant=False)), network[2:])
    assert_same(explain.guided_backprop(shown, BATCH, [0, 1]), explain.guided_backprop(network, BATCH, [0, 1]))


# No gradients


class Frozen(nn.Module):
    def __init__(self, mode: Callable[[], Any]) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())
        self.head = nn.Linear(6, 5)
        self.mode = mode

    def forward(self, batch: Tensor) -> Tensor:
        with self.mode():
            maps = self.backbone(batch)
        logits: Tensor = self.head(maps.mean((2, 3)))
        return logits


class Cut(nn.Module):
    """Gradients are off after the layer."""

    def __init__(self, cut: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.head = nn.Linear(6, 5)
        self.cut = cut

    def forward(self, batch: Tensor) -> Tensor:
        logits: Tensor = self.head(self.cut(self.conv(batch).relu()))
        return logits


@torch.no_grad()
def pooled(maps: Tensor) -> Tensor:
    return maps.mean((2, 3))


def test_a_backbone_without_gradients_is_explained_from_its_end_on() -> None:
    network: Any = seeded(lambda: Frozen(torch.no_grad))
    want = plain(seeded(lambda: Frozen(torch.enable_grad)), BATCH, "backbone")
    assert_same(explain.grad_cam_all(network, BATCH, "backbone"), want)
    for method in (explain.guided_backprop, explain.integrated_gradients):
        with pytest.raises(InputError, match=r"turns gradients off \(torch.no_grad\); take that out"):
            method(network, BATCH)
    for frozen in (False, True):
        network = seeded(lambda: Frozen(torch.inference_mode)).requires_grad_(not frozen)
        for method in (explain.grad_cam, explain.guided_backprop, explain.integrated_gradients):
            with pytest.raises(InputError, match="inference_mode"):
                method(network, BATCH)


@pytest.mark.parametrize(
    ("cut", "cause"),
    [
        (pooled, "turns gradients off"),
        (lambda maps: maps.mean((2, 3)).detach(), "detaches tensors"),
        (lambda maps: maps.mean((2, 3)).data, "detaches tensors"),
        (lambda maps: (maps > 0).float().mean((2, 3)), "only by steps without a gradient"),
    ],
)
def test_the_true_cause_of_no_gradient_is_named(cut: Callable[[Tensor], Tensor], cause: str) -> None:
    network: Any = Cut(cut)
    for call in (
        lambda: explain.grad_cam(network, BATCH, [0, 1], "conv"),
        lambda: explain.guided_backprop(network, BATCH),
    ):
        with pytest.raises(InputError, match=f"do not depend on (it|the images) by any differentiable way.*{cause}"):
            call()


def test_a_model_made_in_inference_mode() -> None:
    with torch.inference_mode():  # type: ignore[no-untyped-call]
        network: Any = small()
    for method in (explain.grad_cam, explain.guided_backprop, explain.integrated_gradients):
        with pytest.raises(InputError, match=r"its parameters were made under torch.inference_mode"):
            method(network, BATCH)
    assert explain.occlude(network, BATCH).drop.isfinite().all()
    assert explain.score_cam(network, BATCH).isfinite().all()


@pytest.mark.filterwarnings("ignore")  # of torch.ao's deprecation
def test_quantised_numbers_have_values_but_no_gradients() -> None:
    from torch.ao import quantization

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.begin, self.end = quantization.QuantStub(), quantization.DeQuantStub()
            self.conv, self.relu, self.head = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Linear(8, 4)

        def forward(self, batch: Tensor) -> Any:
            return self.end(self.head(self.relu(self.conv(self.begin(batch))).mean((2, 3))))

    torch.backends.quantized.engine = next(one for one in torch.backends.quantized.supported_engines if one != "none")
    network: Any = Net().eval()
    network.qconfig = quantization.get_default_qconfig(torch.backends.quantized.engine)
    floating = copy.deepcopy(network)
    quantization.prepare(network, inplace=True)
    network(BATCH)
    quantization.convert(network, inplace=True)
    maps = explain.feature_maps(network, BATCH, ["relu"])["relu"]
    want = explain.feature_maps(floating, BATCH, ["relu"])["relu"]
    assert (maps - want).abs().max() < want.max() / 20
    assert explain.score_cam(network, BATCH, None, "relu").shape == (2, 10, 8)
    with pytest.raises(InputError, match="quantised numbers, which have no gradients"):
        explain.grad_cam(network, BATCH, None, "relu")
    with pytest.raises(InputError, match="as quantised numbers have no gradients"):
        explain.guided_backprop(network, BATCH)
    with pytest.raises(InputError, match="nobody has counted"):
        explain.macs(network, (3, 12, 10))
    dynamic = quantization.quantize_dynamic(seeded(small), {nn.Linear}, dtype=torch.qint8)
    for call in (lambda: explain.grad_cam(dynamic, BATCH, None, "1"), lambda: explain.guided_backprop(dynamic, BATCH)):
        with pytest.raises(InputError, match="quantised"):
            call()


# One logit, and none


def test_of_one_logit_the_probability_is_its_sigmoid() -> None:
    # The quadrants sum to ln 9 and -ln 3, and 0: together to ln 3, of which the sigmoid is 3/4. Without the first
    # -ln 3: 1/4; without the second ln 9: 9/10.
    class Sum(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            return batch.sum((1, 2, 3))[:, None]

    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 1, 0], image[0, 0, 0, 3] = np.log(9), -np.log(3)
    found = explain.occlude(Sum(), image, patch=2, stride=2)
    torch.testing.assert_close(found.probability, torch.tensor([[[0.25, 0.9], [0.75, 0.75]]]))
    torch.testing.assert_close(found.drop, torch.tensor([[[0.5, 0], [0, 0]]]))
    assert found.predicted.tolist() == [[[-1, 0], [0, 0]]]
    # From the image to nothing, the first row taken first: 3/4, then 1/2 without all that is in it.
    places = torch.arange(16).view(1, 4, 4)
    curve = perturbation.exchanged_probabilities(
        Sum(), image, torch.zeros_like(image), places, torch.tensor([0]), steps=2
    )
    torch.testing.assert_close(curve, torch.tensor([[0.75, 0.5, 0.5]]).double())


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_logits_that_are_no_numbers(method: Callable[..., Tensor], wrong: float) -> None:
    network: Any = seeded(small)
    network[4].bias.data[3] = wrong
    with pytest.raises(InputError, match="model: expected finite logits, got some that are nan or inf"):
        method(network, BATCH, [0, 1], "1")
    broken = BATCH.clone()
    broken[1, 0, 0, 0] = wrong
    with pytest.raises(InputError, match="images: expected finite numbers"):
        method(seeded(small), broken, [0, 1], "1")


def test_gradients_that_are_no_numbers() -> None:
    network: Any = seeded(small)
    network[2] = Own(lambda maps: F.adaptive_avg_pool2d((maps * 0).sqrt(), 2))
    for call in (
        lambda: explain.grad_cam(network, BATCH, [0, 1], "1"),
        lambda: explain.guided_backprop(network, BATCH),
    ):
        with pytest.raises(InputError, match="gradients of the logits by them are nan or inf"):
            call()


def test_logits_of_whole_numbers() -> None:
    with pytest.raises(InputError, match=r"expected logits, floating-point numbers; got torch.int64"):
        explain.occlude(nn.Sequential(small(), Own(lambda logits: logits.long())), BATCH)


# Arguments as other libraries take them


@pytest.mark.parametrize(
    "targets", [[2, 1], (2, 1), np.array([2, 1]), [np.int64(2), np.int8(1)], np.array([3, 1, 2])[::-2]]
)
def test_targets_of_many_kinds(targets: Any) -> None:
    network: Any = seeded(small)
    wanted = [int(target) for target in targets]
    frozen = np.asarray(targets)
    frozen.setflags(write=False)
    single = [torch.tensor(target) for target in wanted]
    kinds: list[Any] = [targets, frozen, single, torch.tensor(wanted, dtype=torch.uint8)]
    for given in kinds:
        assert torch.equal(explain.grad_cam(network, BATCH, given, "1"), explain.grad_cam(network, BATCH, wanted, "1"))


@pytest.mark.parametrize(
    "targets", [2, np.int64(2), np.array(2), 2.0, True, "cat", {1, 2}, [[1], [2]], [None, 1], [2**70, 1], [True, False]]
)
def test_targets_that_are_none(targets: Any) -> None:
    with pytest.raises(ValueError, match=r"^targets: expected one class index for each of 2 images"):
        explain.grad_cam(seeded(small), BATCH, targets, "1")


def test_a_module_or_array_where_a_name_or_tensor_is_meant() -> None:
    network: Any = seeded(small)
    array: Any = BATCH.numpy()
    function: Any = network.forward
    with pytest.raises(ValueError, match="expected a module's dotted name, got a ReLU, whose name is '1'"):
        explain.grad_cam(network, BATCH, [0, 1], network[1])
    with pytest.raises(ValueError, match="layers: expected a list"):
        explain.feature_maps(network, BATCH, "conv")
    with pytest.raises(ValueError, match=r"images: expected .* got a ndarray"):
        explain.occlude(network, array)
    with pytest.raises(ValueError, match=r"model: expected an nn\.Module, got a method"):
        explain.occlude(function, BATCH)


# Nothing of somebody else's is touched


class Stored(nn.Module):
    """A layer that hands out a tensor of the model's, and a model that keeps what it met."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.layer = nn.Module()
        stored = images(1, 6, 12, 10).abs()
        if kind == "parameter":
            self.layer.stored = nn.Parameter(stored)
        elif kind == "buffer":
            self.layer.register_buffer("stored", stored)
        else:
            self.layer.stored = stored
        self.layer.forward = lambda _maps: self.layer.stored
        self.head = nn.Linear(6, 5)
        self.met: list[Tensor] = []
        self.last: Tensor | None = None

    def forward(self, batch: Tensor) -> Tensor:
        maps = self.conv(batch) * self.layer(batch)
        self.met, self.last = [maps], maps
        logits: Tensor = self.head(maps.mean((2, 3)))
        return logits


@pytest.mark.parametrize("kind", ["parameter", "buffer", "attribute"])
def test_a_tensor_that_the_model_keeps_is_not_changed(kind: str) -> None:
    network: Any = seeded(lambda: Stored(kind))
    stored = network.layer.stored
    before, version = traces(network), stored._version
    for method in (explain.grad_cam, explain.layer_cam):
        found = method(network, BATCH[:1], [1], "layer")
        assert found.shape == (1, 12, 10)
    explain.guided_backprop(nn.Sequential(nn.ReLU(), network), BATCH[:1], [1])
    assert traces(network) == before
    assert (stored._version, stored.grad_fn, stored.requires_grad) == (version, None, kind == "parameter")
    assert network.last is not None
    assert not network.last.requires_grad
    assert not network.met[0].requires_grad
    network.layer.forward = nn.Identity().forward
    copy.deepcopy(network)


def test_what_the_model_has_kept_before_keeps_its_graph() -> None:
    network: Any = seeded(lambda: Stored("attribute"))
    graph = (images(1, 2).requires_grad_() * 2).sum()
    network.earlier = [graph]
    held = network.earlier
    explain.grad_cam(network, BATCH[:1], [1], "conv")
    assert network.earlier is held
    assert held[0] is graph
    assert graph.grad_fn is not None
    assert not network.last.requires_grad


def test_the_input_handed_on_is_not_changed() -> None:
    network: Any = seeded(lambda: nn.Sequential(nn.Identity(), nn.Conv2d(3, 6, 3), Own(lambda maps: maps.mean((2, 3)))))
    before = BATCH.clone()
    assert_same(explain.grad_cam_all(network, BATCH, "0"), plain(network, BATCH, "0"))
    assert torch.equal(BATCH, before)
    assert not BATCH.requires_grad


# Channels last, and tokens


class Last(nn.Module):
    """Maps (N, h, w, C) after the first convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.turn = Own(lambda maps: maps.permute(0, 2, 3, 1))
        self.mix = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, 5)

    def forward(self, batch: Tensor) -> Tensor:
        maps = self.turn(self.conv(batch))
        logits: Tensor = self.head(self.norm(maps + self.mix(maps).relu()).mean((1, 2)))
        return logits


@pytest.mark.parametrize("channels", [6, 12, 10])  # 12 and 10 are also the image's sides: a shape does not tell
@pytest.mark.parametrize("layer", ["turn", "mix", "norm"])
def test_maps_with_their_channels_last_are_read_along_their_own_axes(channels: int, layer: str) -> None:
    network: Any = seeded(lambda: Last(channels)).double()
    batch = BATCH.double()
    zeros: list[Tensor] = []
    maps: list[Tensor] = []

    def keep(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        maps.append(output.detach())
        zeros.append(torch.zeros_like(output).requires_grad_())
        return output + zeros[0]

    with network.get_submodule(layer).register_forward_hook(keep):
        logits = network(batch)
    (gradient,) = torch.autograd.grad(logits[:, 3].sum(), zeros[0])
    want = (gradient.mean((1, 2), keepdim=True) * maps[0]).sum(3).relu().float()  # (2, 12, 10)
    assert_same(explain.grad_cam(network, batch, [3, 3], layer), want, 1e-6)
    want = (gradient.relu() * maps[0]).sum(3).relu().float()
    assert_same(explain.layer_cam(network, batch, [3, 3], layer), want, 1e-6)
    torch.testing.assert_close(
        explain.feature_maps(network, batch, [layer])[layer], maps[0].permute(0, 3, 1, 2).float()
    )
    assert explain.score_cam(network, batch, [3, 3], layer).shape == (2, 12, 10)


def test_transformers_are_read_along_their_axes_or_refused() -> None:
    swin, batch = seeded(lambda: models.swin_t(num_classes=3)), images(1, 3, 64, 64)
    assert explain.grad_cam(swin, batch, [1], "features.7").shape == (1, 2, 2)
    # Normalised, averaged over the cells and weighed: the class activation map of Zhou et al. 2016.
    maps = explain.feature_maps(swin, batch, ["norm"])["norm"]
    want = torch.einsum("kc,nchw->nkhw", swin.get_parameter("head.weight").detach(), maps).relu() / 4
    assert_same(explain.grad_cam_all(swin, batch, "norm"), want)
    assert_same(explain.grad_cam_all(swin, batch, "permute"), want)
    assert explain.choose_layer(swin, batch) == "permute"
    attention = nn.Sequential(
        nn.Conv2d(3, 4, 4, stride=4), nn.Flatten(2), Own(attended), Own(lambda maps: maps.mean(3)[:, 0])
    )
    with pytest.raises(InputError, match="of which no axes are the image's rows and columns, because of bmm"):
        explain.grad_cam(attention, images(2, 3, 32, 32), [1, 0], "2")


def attended(tokens: Tensor) -> Tensor:
    """(N, heads, T, T) attention, as high as it is wide."""
    return (tokens.transpose(1, 2) @ tokens).softmax(2)[:, None]


def test_convnext_is_explained_at_its_last_block() -> None:
    network, batch = seeded(lambda: models.convnext_tiny(num_classes=3)), images(1, 3, 64, 64)
    assert explain.choose_layer(network, batch) == "features"
    assert explain.grad_cam(network, batch, [1], "features.7.2.block.3").shape == (1, 2, 2)
