"""Training of small networks on images told apart by colour: what is learnt, what is kept, what is equal to the bit."""

from __future__ import annotations

import copy
import math
import time
from contextlib import nullcontext
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.evaluation.answers import logits_of
from generator.networks.architecture import initialise
from generator.networks.folder import Weights
from generator.networks.inputs import fitted, normalise
from generator.records.input import square
from generator.records.recipe import Augmentation, Recipe
from generator.training import fit as training
from generator.training.fit import FLOOR, Images, Step, Teacher, TrainingState, fit, learning_rate
from generator.training.resume import load_state, save_state

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 8
WAY = square(SIDE)
PLAIN = Recipe(
    epochs=6, sizes=((0.0, SIDE),), batch=16, learning_rate=0.02, smoothing=0.0, average=0.0, precision="float32"
)
# All that a run must remember: an average, dropout, moments, batch norm, and pruned weights.
EVERYTHING = replace(
    PLAIN,
    epochs=5,
    average=0.9,
    prune=0.6,
    augmentation=Augmentation(area=0.6, rotation=10, flip=True, colour=0.2, cutmix=0.5),
    tail=0.2,
    learning_rate=2e-3,
)


def coloured(count: int, seed: int = 0) -> Images:
    """Reddish images of class 0 and bluish ones of class 1, in turn, with noise."""
    targets = torch.arange(count) % 2
    images = torch.randint(0, 80, (count, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))
    images[torch.arange(count), 2 * targets] += 150
    return Images(images.to(torch.uint8), targets)


def swapped(data: Images) -> Images:
    return replace(data, targets=1 - data.targets)


def small(seed: int = 0) -> nn.Module:
    return initialise(
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 2),
        ),
        seed,
    )


def sided(seed: int) -> nn.Module:
    """Answers otherwise to mirror images."""
    linear = nn.Linear(12, 2, bias=False)
    nn.init.normal_(linear.weight, generator=torch.Generator().manual_seed(seed))
    return nn.Sequential(nn.AvgPool2d(SIDE // 2), nn.Flatten(), linear)


def wide() -> nn.Module:
    """With one layer of 1024 x 1024 weights, large enough to be pruned."""
    return initialise(
        nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1024, 1024),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(1024, 2),
        ),
        0,
    )


def same(first: Weights, second: Weights) -> bool:
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


def accuracy(network: nn.Module, data: Images) -> float:
    answers = logits_of(network, fitted(data.images, WAY), WAY).argmax(1)
    return float((torch.from_numpy(answers) == data.targets).float().mean())


def test_learning_rate_by_hand() -> None:
    recipe = Recipe(epochs=1, learning_rate=0.1, warm_up=0.2)
    peak, middle = 0.1, 0.1 * (1 + FLOOR) / 2

    found = [learning_rate(step, 100, recipe) for step in (0, 9, 19, 20, 60, 100)]

    assert found == pytest.approx([0.005, 0.05, peak, peak, middle, FLOOR * peak])


def test_learning_rate_rises_then_falls() -> None:
    recipe = Recipe(epochs=1, warm_up=0.1)
    rates = [learning_rate(step, 50, recipe) for step in range(50)]
    rising, falling = rates[:5], rates[5:]

    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert max(rates) == recipe.learning_rate


def test_without_warm_up_the_first_step_is_at_the_peak() -> None:
    assert learning_rate(0, 10, Recipe(epochs=1, warm_up=0.0)) == Recipe(epochs=1).learning_rate


def test_validation_images_are_enlarged_before_the_cut() -> None:
    """Their edges are of the other colour: what is cut out of the enlarged image is told apart, the whole is not."""
    recipe = replace(PLAIN, epochs=12, enlarged=2.0)
    validation = coloured(20, seed=1)
    images = validation.images.flip(1)
    images[..., 2:6, 2:6] = validation.images[..., 2:6, 2:6]
    framed = replace(validation, images=images)

    whole, middle = (
        fit(small(), coloured(64), framed, replace(recipe, enlarged=enlarged)).epochs[-1].validation_accuracy
        for enlarged in (1.0, 2.0)
    )

    assert recipe.shown == (SIDE, 2 * SIDE)
    assert whole == 0.0
    assert middle == 1.0


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_two_colours_are_learnt_to_the_last_image(average: float) -> None:
    network, validation = small(), coloured(20, seed=1)

    state = fit(network, coloured(64), validation, replace(PLAIN, epochs=12, average=average))

    first, last = state.epochs[0].train_loss, state.epochs[-1].train_loss
    assert first is not None
    assert last is not None
    assert first > last
    assert state.epochs[-1].train_accuracy == 1.0
    assert state.epochs[-1].validation_accuracy == 1.0
    assert accuracy(network, validation) == 1.0
    assert state.complete


def test_the_record_of_a_run_counts_epochs_steps_rates_and_sizes() -> None:
    recipe = replace(PLAIN, epochs=4, sizes=((0.0, 6), (0.5, SIDE)))
    shown: list[Step] = []

    state = fit(small(), coloured(40), coloured(8), recipe, on_step=shown.append)

    assert [epoch.epoch for epoch in state.epochs] == [1, 2, 3, 4]
    assert [epoch.image_size for epoch in state.epochs] == [6, 6, SIDE, SIDE]
    assert state.steps == 12  # batches of 16, 16 and 8
    assert [(step.epoch, step.step, step.steps) for step in shown[2:4]] == [(1, 3, 3), (2, 1, 3)]
    last_rates = [learning_rate(step, 12, recipe) for step in (2, 5, 8, 11)]
    assert [epoch.learning_rate for epoch in state.epochs] == last_rates
    assert sorted(state.snapshots) == [0, 1, 2, 4]
    sizes = (16, 16, 8)
    first = sum(step.loss * size for step, size in zip(shown, sizes, strict=False)) / 40
    assert state.epochs[0].train_loss == pytest.approx(first, rel=1e-5)


def test_the_first_loss_is_that_of_guessing_and_falls_by_the_recipe_alone() -> None:
    shown: list[Step] = []

    fit(small(), coloured(16), None, replace(PLAIN, epochs=1), on_step=shown.append)

    assert shown[0].loss == pytest.approx(math.log(2), abs=0.02)


def test_limit_trains_on_images_spread_over_the_set() -> None:
    data = coloured(64)
    # 4 of 64, the first and the last among them: 0, 21, 42, 63.
    chosen = torch.tensor([0, 21, 42, 63])

    limited = fit(small(), data, None, replace(PLAIN, limit=4))

    alone = replace(data, images=data.images[chosen], targets=data.targets[chosen])
    assert same(limited.best, fit(small(), alone, None, PLAIN).best)
    assert limited.steps == PLAIN.epochs


def test_images_larger_than_any_size_of_the_recipe_are_shrunk_as_they_are_shown_later() -> None:
    data = coloured(8)
    seen: list[Tensor] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small()

        def forward(self, images: Tensor) -> Tensor:
            if self.training:
                seen.append(images.detach().clone())
            logits: Tensor = self.inner(images)
            return logits

    fit(Watched(), data, None, replace(PLAIN, epochs=1, sizes=((0.0, SIDE // 2),)))
    wanted = normalise(fitted(data.images, square(SIDE // 2)), WAY)
    (found,) = seen
    gaps = (found[:, None] - wanted[None]).abs().amax((2, 3, 4))  # the order is drawn
    torch.testing.assert_close(gaps.amin(1), torch.zeros(8), rtol=0, atol=1e-4)


def test_the_same_seed_gives_the_same_weights_to_the_bit() -> None:
    data, recipe = coloured(48), replace(EVERYTHING, prune=0.0)

    first, second, other = (fit(small(), data, None, replace(recipe, seed=seed)) for seed in (1, 1, 2))

    assert same(first.best, second.best)
    assert [epoch.train_loss for epoch in first.epochs] == [epoch.train_loss for epoch in second.epochs]
    assert not same(first.best, other.best)


class InterruptionError(Exception):
    """Somebody pressed Ctrl-C."""


@pytest.mark.parametrize("after", [1, 4])
def test_a_resumed_run_ends_as_if_it_had_never_stopped(tmp_path: Path, after: int) -> None:
    data, validation, key = coloured(96), coloured(20, seed=1), {"seed": 0}

    def stop(state: TrainingState) -> None:
        save_state(tmp_path, copy.deepcopy(state), key)
        if len(state.epochs) == after:
            raise InterruptionError

    straight = fit(wide(), data, validation, EVERYTHING)
    with pytest.raises(InterruptionError):
        fit(wide(), data, validation, EVERYTHING, on_epoch=stop)
    state = load_state(tmp_path, key)
    assert state is not None
    assert len(state.epochs) == after
    network = wide()
    resumed = fit(network, data, validation, EVERYTHING, state=state)

    for part in ("weights", "average", "best", "moments"):
        assert dict_equal(getattr(resumed, part), getattr(straight, part)), part
    assert dict_equal(dict(network.state_dict()), straight.best)
    assert [replace(epoch, seconds=0) for epoch in resumed.epochs] == [
        replace(epoch, seconds=0) for epoch in straight.epochs
    ]
    assert (resumed.kept, resumed.steps, resumed.complete) == (straight.kept, straight.steps, True)
    assert sorted(resumed.snapshots) == sorted(straight.snapshots)
    assert all(torch.equal(resumed.snapshots[epoch], kernels) for epoch, kernels in straight.snapshots.items())


def dict_equal(first: Weights, second: Weights) -> bool:
    """Whether two sets of tensors are equal to the bit; a file knows no order."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_is_resumed_on_a_gpu_too() -> None:
    device, states = torch.device("cuda"), []

    fit(small(), coloured(32), None, PLAIN, device=device, on_epoch=lambda now: states.append(copy.deepcopy(now)))
    resumed = fit(small(), coloured(32), None, PLAIN, device=device, state=states[1])

    assert [epoch.epoch for epoch in resumed.epochs] == [1, 2, 3, 4, 5, 6]
    assert float(resumed.moments["0.weight.step"]) == resumed.steps == 12
    for name, tensor in states[-1].best.items():
        torch.testing.assert_close(resumed.best[name], tensor, atol=1e-2, rtol=1e-2)


def test_a_complete_run_is_not_gone_on_with() -> None:
    data = coloured(32)
    state = fit(small(), data, None, PLAIN)
    before = copy.deepcopy(state)
    network = small()

    again = fit(network, data, None, PLAIN, state=state)

    assert len(again.epochs) == PLAIN.epochs
    assert same(again.best, before.best)
    assert same(dict(network.state_dict()), before.best)


def test_patience_stops_and_the_best_epoch_is_kept() -> None:
    # What is right in training is wrong in validation, so that the first epochs are the best.
    network, validation = small(1), swapped(coloured(40, seed=1))
    recipe = replace(PLAIN, epochs=12, patience=3, average=0.5, learning_rate=1e-3)
    averages: list[Weights] = []

    state = fit(network, coloured(64), validation, recipe, on_epoch=lambda now: averages.append(dict(now.average)))

    scores = [epoch.validation_accuracy or 0.0 for epoch in state.epochs]
    assert state.complete
    # A tie is worth keeping, as the later of two alike, but is no reason to go on.
    assert len(state.epochs) == scores.index(max(scores)) + 1 + 3 < 12
    assert scores[state.kept - 1] == max(scores) > scores[-1]
    assert same(state.best, averages[state.kept - 1])
    assert same(dict(network.state_dict()), state.best)
    assert accuracy(network, validation) == pytest.approx(max(scores))


def test_patience_begins_when_the_pruning_is_done() -> None:
    """Before that no epoch may be kept: the weights that must go are still there."""
    network, validation = wide(), swapped(coloured(20, seed=1))
    recipe = replace(EVERYTHING, epochs=12, patience=2, learning_rate=3e-5, augmentation=Augmentation())

    state = fit(network, coloured(32), validation, recipe)

    assert len(state.epochs) >= 9 + 1 + 2 or state.kept >= 10  # nine are three quarters of twelve
    assert state.kept >= 10
    assert float((state.best["4.weight"] == 0).float().mean()) == pytest.approx(0.6, abs=1e-5)


def test_images_grow_at_their_share_of_the_epochs() -> None:
    recipe = Recipe(epochs=5, sizes=((0, 24), (0.3, 32), (0.8, 64)))
    assert [recipe.size(epoch) for epoch in range(1, 6)] == [24, 24, 32, 32, 64]


def test_without_patience_a_run_goes_to_its_end() -> None:
    recipe = replace(PLAIN, average=0.5, learning_rate=1e-3)

    state = fit(small(1), coloured(64), swapped(coloured(40, seed=1)), recipe)

    assert len(state.epochs) == PLAIN.epochs
    assert state.kept < PLAIN.epochs


def test_without_validation_images_the_last_epoch_is_kept() -> None:
    network = small()

    state = fit(network, coloured(32), None, PLAIN)

    assert state.kept == PLAIN.epochs
    assert {(epoch.validation_loss, epoch.validation_accuracy) for epoch in state.epochs} == {(None, None)}
    assert same(state.best, state.weights)
    assert same(dict(network.state_dict()), state.weights)


def test_validation_is_of_the_average_and_leaves_the_training_as_it_is() -> None:
    data, validation = coloured(48), coloured(20, seed=1)
    recipe = replace(PLAIN, average=0.9)

    watched, alone = fit(small(), data, validation, recipe), fit(small(), data, None, recipe)

    assert same(watched.weights, alone.weights)
    assert same(watched.average, alone.average)
    assert not same(watched.average, watched.weights)
    network = small()
    network.load_state_dict(watched.average)
    logits = torch.from_numpy(logits_of(network, validation.images, WAY))
    loss = float(nn.functional.cross_entropy(logits, validation.targets))
    assert watched.epochs[-1].validation_loss == pytest.approx(loss, rel=1e-5)


def test_a_learning_rate_far_too_large_is_told_with_epoch_step_and_mend() -> None:
    with pytest.raises(InputError, match=r"epoch 1, step 2: the loss is (nan|inf); try .* --lr below 1e\+30$"):
        fit(small(), coloured(64), None, replace(PLAIN, learning_rate=1e30))


def test_poisoned_weights_are_told_at_the_first_step() -> None:
    network = small()
    with torch.no_grad():
        next(network.parameters()).fill_(math.nan)

    with pytest.raises(InputError, match=r"epoch 1, step 1: the loss is nan; try .* --lr below 0\.02$"):
        fit(network, coloured(16), None, PLAIN)
    with pytest.raises(InputError, match=r"--lr below 0\.02, or --precision float32 \(now bfloat16\)$"):
        fit(network, coloured(16), None, replace(PLAIN, precision="bfloat16"))


class Failing(nn.Module):
    """Runs out of memory, or fails otherwise, at the pass through it that is named."""

    def __init__(self, error: BaseException | None, at: int) -> None:
        super().__init__()
        self.network = small()
        self.error, self.left = error, at

    def forward(self, images: Tensor) -> Tensor:
        self.left -= 1
        if not self.left and self.error is None:
            torch.empty(1 << 50)  # 4 PiB, more than any machine can address
        if not self.left and self.error is not None:
            raise self.error
        found: Tensor = self.network(images)
        return found


@pytest.mark.parametrize("precision", ["float32", "auto"])
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize(
    "error",
    [
        None,
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GiB)."),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4294967296 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
    ids=["CPU", "CUDA", "MPS", "Windows", "cuBLAS", "cuDNN"],
)
def test_memory_that_runs_out_is_told_with_a_smaller_batch(error: RuntimeError | None, at: int, precision: str) -> None:
    """In the first step or the second, or while "auto" measures."""
    with pytest.raises(InputError, match=r"^out of memory with batches of 16; try --batch 8$"):
        fit(Failing(error, at), coloured(40), None, replace(PLAIN, precision=precision))


def test_memory_that_runs_out_with_one_image_is_told_without_a_smaller_batch() -> None:
    with pytest.raises(InputError, match=r"^out of memory with batches of 1; close what else uses it"):
        fit(Failing(None, 1), coloured(4), None, replace(PLAIN, batch=1))


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="something else"):
        fit(Failing(RuntimeError("something else"), 1), coloured(16), None, PLAIN)


def test_only_weights_that_are_pruned_to_the_end_are_kept() -> None:
    """Validated on swapped labels: the first epochs are the best, but have weights that must go."""
    validation = swapped(coloured(20, seed=1))

    state = fit(wide(), coloured(32), validation, replace(EVERYTHING, learning_rate=3e-5, augmentation=Augmentation()))

    scores = [epoch.validation_accuracy or 0.0 for epoch in state.epochs]
    assert max(scores[:4]) > scores[4]
    assert state.kept == 5  # pruning is done at 75 % of 5 epochs
    assert float((state.best["4.weight"] == 0).float().mean()) == pytest.approx(0.6, abs=1e-5)


def test_pruning_reaches_the_asked_share_of_zeros_by_and_by() -> None:
    network = wide()
    shares: list[float] = []

    def note(state: TrainingState) -> None:
        shares.append(float((state.average["4.weight"] == 0).float().mean()))
        assert torch.equal(state.average["4.weight"] == 0, state.weights["4.weight"] == 0)

    state = fit(network, coloured(48), None, replace(EVERYTHING, epochs=5, prune=0.6), on_epoch=note)

    # Zhu & Gupta's equation 1 at 0, 20, 40, 60 and 80 % of the epochs, begun at 20 % and done at 75 %.
    ways = (0, 0, 0.2 / 0.55, 0.4 / 0.55, 1)
    assert shares == pytest.approx([0.6 * (1 - (1 - way) ** 3) for way in ways], abs=1e-5)
    kept = state.best["7.weight"]
    assert (kept != 0).all()  # a small layer is never pruned


def test_the_global_random_state_is_untouched_and_without_effect() -> None:
    data = coloured(32)
    recipe = replace(EVERYTHING, epochs=1, prune=0.0)
    results = []
    with torch.random.fork_rng(devices=[]):
        for seed in (5, 6):
            network = wide()
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            results.append(fit(network, data, None, recipe).best)
            assert torch.equal(torch.get_rng_state(), before)

    assert same(*results)


def test_the_images_are_not_changed_by_training() -> None:
    data = coloured(32)
    before: Tensor = data.images.clone()

    fit(small(), data, data, replace(EVERYTHING, prune=0.0, epochs=1))

    assert torch.equal(data.images, before)


def test_auto_measures_without_leaving_a_trace() -> None:
    data = coloured(32)

    measured = fit(small(), data, None, replace(PLAIN, precision="auto"))
    chosen = fit(small(), data, None, replace(PLAIN, precision=measured.precision))

    assert measured.precision in ("float32", "bfloat16")
    assert same(measured.best, chosen.best)


@pytest.mark.parametrize(("slower", "passes"), [(2.0, 6), (0.5, 6), (20.0, 2)])
def test_arithmetic_that_is_far_slower_is_tried_once(
    monkeypatch: pytest.MonkeyPatch, slower: float, passes: int
) -> None:
    """A processor without bfloat16 emulates it: with AlexNet six passes took minutes."""
    seconds, clock, asked = {"float32": 1.0, "bfloat16": slower}, [0.0], []

    def autocast(precision: str, device: torch.device) -> nullcontext[None]:
        asked.append(precision)
        clock[0] += seconds[precision]
        return nullcontext()

    monkeypatch.setattr(training, "_autocast", autocast)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    network = small()
    auto, cpu = replace(PLAIN, precision="auto"), torch.device("cpu")
    found = training._precision(network, lambda shown: shown.float(), coloured(4).images, auto, cpu)
    assert found == ("bfloat16" if slower < 1 else "float32")
    assert len(asked) == passes


def test_labels_smoothed_keep_the_loss_from_zero() -> None:
    # The least cross entropy with smoothing s over two classes is the entropy of (1 - s/2, s/2).
    state = fit(small(), coloured(64), None, replace(PLAIN, epochs=40, smoothing=0.2))

    least = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    found = state.epochs[-1].train_loss
    assert found is not None
    assert least - 1e-4 <= found < least + 0.05


@pytest.mark.parametrize("missing", [OSError, AttributeError, TypeError])
def test_where_the_c_library_cannot_be_asked_to_keep_memory_training_goes_on(
    missing: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Absent:
        def __init__(self, name: str | None) -> None:
            asked.append(name)
            raise missing

    monkeypatch.setattr("generator.training.fit.ctypes", SimpleNamespace(CDLL=Absent))
    assert fit(small(), coloured(16), None, replace(PLAIN, epochs=1)).complete
    assert asked == [None]


def test_memory_that_is_freed_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda parameter, value: asked.append((parameter, value)))
    monkeypatch.setattr("generator.training.fit.ctypes", SimpleNamespace(CDLL=lambda _: library))

    fit(small(), coloured(16), None, replace(PLAIN, epochs=1))

    # malloc.h: M_MMAP_MAX is -4, M_TRIM_THRESHOLD -1; of that, -1 says never (mallopt(3)).
    assert asked == [(-4, 0), (-1, -1)]


def test_distillation_by_hand() -> None:
    """The loss before the first step: a quarter of the labels' and three of the distance from one teacher's answer.

    The teacher is drawn, and whether it is shown the mirror images.
    """
    images = coloured(16).images.clone()
    images[..., :4] = 0  # else mirror images would be like the images
    data = replace(coloured(16), images=images)
    teachers = [sided(seed).eval() for seed in (1, 2)]
    inputs = normalise(images, WAY)
    with torch.no_grad():
        logits = small().train()(inputs)
        asked = [teacher(shown) for teacher in teachers for shown in (inputs, inputs.flip(3))]
    answers = F.softmax(logits / 3, 1)
    by_hand = []
    for wanted in (F.softmax(each / 3, 1) for each in asked):
        distance = 9 * (wanted * (wanted / answers).log()).sum(1).mean()
        by_hand.append(float(0.25 * F.cross_entropy(logits, data.targets) + 0.75 * distance))
    found = []
    for seed in range(24):
        recipe = replace(PLAIN, epochs=1, distillation=0.75, temperature=3.0, seed=seed)
        state = fit(small(), data, None, recipe, teachers=[Teacher(teacher, WAY) for teacher in teachers])
        found.append(state.epochs[0].train_loss or 0.0)

    nearest = [min((abs(loss - seen), loss) for loss in by_hand)[1] for seen in found]
    assert found == pytest.approx(nearest, rel=1e-4)
    assert set(nearest) == set(by_hand)
    assert min(abs(first - second) for first, second in combinations(by_hand, 2)) > 1e-3


def test_a_network_learns_what_its_teacher_says_and_not_the_labels() -> None:
    data = coloured(64)
    teacher = small(1)
    fit(teacher, swapped(data), None, replace(PLAIN, epochs=12))
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    pupil = small()
    fit(pupil, data, None, replace(PLAIN, epochs=12, distillation=1.0), teachers=[Teacher(teacher, WAY)])
    assert accuracy(teacher, data) == 0
    assert accuracy(pupil, data) == 0
    assert same(before, dict(teacher.state_dict()))  # it only answers


def test_each_teacher_is_shown_images_of_its_size() -> None:
    sides: list[int] = []

    class Watched(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            sides.append(images.shape[-1])
            return images.mean((2, 3))[:, :2]

    recipe = replace(PLAIN, epochs=1, sizes=((0.0, SIDE),), distillation=0.5)
    teachers = [Teacher(Watched(), WAY), Teacher(Watched(), square(2 * SIDE))]
    fit(small(), coloured(16), None, replace(recipe, batch=1), teachers=teachers)
    assert set(sides) == {SIDE, 2 * SIDE}
    assert len(sides) == 16
