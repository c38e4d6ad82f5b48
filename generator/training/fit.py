"""Training of one network: `fit(network, train, validation, recipe)` -> TrainingState with the weights to keep.

AdamW, linear warm-up and cosine decay, progressive image size, augmentation of whole batches, label smoothing, and an
exponential average of the weights, which is what is validated and kept. Each epoch draws from generators seeded by
(seed, epoch) alone, so that a run resumed at the end of an epoch goes on to the bit as if it had never stopped.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from generator.base.errors import InputError
from generator.networks.folder import Weights
from generator.networks.inputs import OTHERS, as_channels, fitted, memory_explained, normalise
from generator.records.input import Input, square
from generator.records.recipe import Augmentation, Recipe
from generator.records.training import Epoch
from generator.training import parallel
from generator.training.augment import augment

_Masks = list[tuple[Tensor, Tensor]]  # a pruned layer's weights, and which of them live

COLOUR = square(64)
# The learning rate ends at this share of its peak.
FLOOR = 1e-3
# The average takes in the weights every so many steps: as good as every step, and cheaper.
AVERAGE_EVERY = 4
# mallopt's parameters, from malloc.h: how many blocks may lie apart from the heap, and how much unused memory ends it.
_MMAP_MAX, _TRIM_THRESHOLD = -4, -1
# Arithmetic that is so many times slower is tried once: what a first pass prepares does not make up for that.
FAR = 8
# Pruning goes from the first to the second share of the epochs.
PRUNED_FROM, PRUNED_BY = 0.2, 0.75


@dataclass
class TrainingState:
    """Where a run stands after its last whole epoch; all that it needs to go on."""

    weights: Weights
    average: Weights
    best: Weights
    moments: Weights = field(default_factory=dict)  # AdamW's, "<parameter>.<moment>"
    epochs: list[Epoch] = field(default_factory=list)
    snapshots: dict[int, Tensor] = field(default_factory=dict)  # epoch -> kernels of the first convolution
    kept: int = 0
    steps: int = 0
    precision: str = "float32"
    complete: bool = False


@dataclass(frozen=True)
class Images:
    """What is learnt from, ordered by class."""

    images: Tensor  # (N, 3, S, S) uint8
    targets: Tensor  # (N,) int64

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Teacher:
    """A trained network whose answers another one learns from."""

    network: nn.Module
    input: Input  # how it takes images


@dataclass(frozen=True)
class Step:
    """What a progress bar may show."""

    epoch: int
    step: int
    steps: int
    loss: float


def fit(
    network: nn.Module,
    train: Images,
    validation: Images | None,
    recipe: Recipe,
    *,
    way: Input = COLOUR,
    teachers: Sequence[Teacher] = (),
    device: torch.device | None = None,
    state: TrainingState | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
) -> TrainingState:
    """Train `network` in place and return the state whose `best` weights are to be kept.

    Inside `parallel.group` all processes train it together: each gets the same arguments and returns the same state.

    Args:
        train, validation: uint8 images and targets; without validation images the last epoch is kept.
        way: the network's channels and statistics; its size is the recipe's.
        teachers: whose probabilities `recipe.distillation` of the loss asks for; for the same classes.
        state: of an interrupted run of the same recipe, to go on from.
        on_step: called after each step.
        on_epoch: called with the state after each epoch: the place to save it.
    Raises:
        InputError: where the loss is no longer a number, or memory runs out.
    """
    run = _Training(network, train, validation, recipe, way, teachers, device or torch.device("cpu"), state)
    while not run.state.complete:
        run.epoch(on_step)
        on_epoch(run.state)
    network.load_state_dict(run.state.best)
    return run.state


class _Training:
    """A run under way: what it learns from, what learns, and its state after the last whole epoch."""

    def __init__(
        self,
        network: nn.Module,
        train: Images,
        validation: Images | None,
        recipe: Recipe,
        way: Input,
        teachers: Sequence[Teacher],
        device: torch.device,
        state: TrainingState | None,
    ) -> None:
        _keep_freed_memory()
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.teachers = teachers if recipe.distillation else ()
        for teacher in self.teachers:
            teacher.network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.recipe, self.device, self.validation = recipe, device, validation
        self.way = way
        images, self.targets = _limited(train, recipe.limit)
        self.images = _shrunk(images, max(size for _, size in recipe.sizes))
        self.state = state or self._begun(network)
        if state is not None:
            network.load_state_dict(state.weights)
        self.replica = parallel.Replica(network, device)
        self.network = self.replica.network
        self.optimizer = _optimizer(self.network, recipe, device)
        if state is not None:
            _restore_moments(self.optimizer, self.network, state.moments)
        # In the network's order, which a resume file does not keep: `_first_kernels` takes the first.
        self.average = {name: self.state.average[name].to(device).clone() for name in network.state_dict()}
        self.batches = math.ceil(len(self.images) / recipe.batch)
        self.average_every = AVERAGE_EVERY if self.batches >= AVERAGE_EVERY else 1

    def _begun(self, network: nn.Module) -> TrainingState:
        """The state before the first epoch."""
        weights = _copy(network)
        state = TrainingState(weights, dict(weights), dict(weights))
        state.snapshots[0] = _first_kernels(weights)
        with _memory_explained(self.recipe):
            state.precision = parallel.agreed(_precision(network, self._inputs, self.images, self.recipe, self.device))
        return state

    def epoch(self, on_step: Callable[[Step], None]) -> None:
        """One pass through the images, then validation; the state is that after it."""
        state, recipe = self.state, self.recipe
        number, begun = len(state.epochs) + 1, time.perf_counter()
        share, size = (number - 1) / recipe.epochs, recipe.size(number)
        how = recipe.mild if share >= 1 - recipe.tail else recipe.augmentation
        masks = _masks(self.network, self.average, recipe, share)
        self.network.train()
        with _Seeded(recipe.seed, number):
            loss, accuracy = self._pass(number, size, how, masks, on_step)
        state.weights = _copy(self.network)
        state.average = _on_cpu(self.average) if recipe.average else dict(state.weights)
        state.moments = _moments(self.optimizer, self.network)
        validated = self._validate(state.average)
        state.epochs.append(
            Epoch(
                epoch=number,
                train_loss=loss,
                train_accuracy=accuracy,
                validation_loss=validated and validated[0],
                validation_accuracy=validated and validated[1],
                learning_rate=self.optimizer.param_groups[0]["lr"],
                seconds=time.perf_counter() - begun,
                image_size=size,
            )
        )
        if number in _snapshot_epochs(recipe.epochs):
            state.snapshots[number] = _first_kernels(state.average)
        if _is_best(state, recipe):
            state.best, state.kept = dict(state.average), number
        state.complete = number >= recipe.epochs or _is_tired(state, recipe)

    def _pass(
        self, epoch: int, size: int, how: Augmentation, masks: _Masks, on_step: Callable[[Step], None]
    ) -> tuple[float, float]:
        """All images once; mean loss and accuracy before each step."""
        order_generator, pixel_generator = _generators(self.recipe.seed, epoch)
        order = torch.randperm(len(self.images), generator=order_generator)
        sums = torch.zeros(2, device=self.device)
        for number, chosen in enumerate(torch.split(order, self.recipe.batch), start=1):
            rate = learning_rate(self.state.steps, self.batches * self.recipe.epochs, self.recipe)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            with _memory_explained(self.recipe):
                step = self._step(chosen, size, how, pixel_generator)
            if not math.isfinite(loss := float(step[0]) / len(chosen)):
                present = self.state.precision
                raise InputError(
                    f"epoch {epoch}, step {number}: the loss is {loss}; try a smaller learning rate, --lr below "
                    f"{self.recipe.learning_rate:.2g}"
                    + (f", or --precision float32 (now {present})" if present != "float32" else "")
                )
            sums += step
            for parameter, mask in masks:
                parameter.detach().mul_(mask)
            self.state.steps += 1
            if self.recipe.average and self.state.steps % self.average_every == 0:
                _take_in(self.average, self.network, self.recipe.average**self.average_every, self.state.steps)
            on_step(Step(epoch, number, self.batches, loss))
        loss, right = (sums / len(self.images)).tolist()
        return loss, right

    def _step(self, chosen: Tensor, size: int, how: Augmentation, generator: Generator) -> Tensor:
        """One step of gradient descent on the images `chosen`; the sums of loss and right answers before it, (2,)."""
        wanted = self.targets[chosen].to(self.device)
        # Every process augments the whole batch, so that all draw alike and CutMix finds its partners: 3 % of the work.
        pixels, partner, own = augment(self.images[chosen].to(self.device), size, how, generator)
        rows = self.replica.rows(len(chosen))
        coloured = pixels[rows]
        inputs = self._inputs(coloured)
        targets, others = wanted[rows], wanted[partner][rows]
        with _autocast(self.state.precision, self.device):
            logits = self.replica(inputs)
        logits = logits.float()
        smoothing = self.recipe.smoothing
        loss = own * F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
        if own < 1:
            loss = loss + (1 - own) * F.cross_entropy(logits, others, reduction="sum", label_smoothing=smoothing)
        if self.teachers:
            share = self.recipe.distillation
            loss = (1 - share) * loss + share * self._distance(logits, coloured, generator)
        self.optimizer.zero_grad(set_to_none=True)
        # The processes' gradients are averaged, so each has its part of the sum times their number.
        (loss * parallel.world() / len(chosen)).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        predicted = logits.argmax(1)
        right = own * (predicted == targets).sum() + (1 - own) * (predicted == others).sum()
        return parallel.total(torch.stack([loss.detach(), right]))

    def _inputs(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 255] as the network takes them, in the memory format that convolutions are fast in."""
        return normalise(as_channels(pixels, self.way), self.way).contiguous(memory_format=torch.channels_last)

    def _distance(self, logits: Tensor, pixels: Tensor, generator: Generator) -> Tensor:
        """Kullback-Leibler divergence of the softened answers from a teacher's, summed over the images.

        Times the temperature's square, so that its gradients stay as large as those of the labels' part. One teacher
        answers, drawn anew for each batch, to the images or to their mirror images: on average that asks for the mean
        of all their answers, since the gradient is linear in what is asked for, in the time of one.
        """
        temperature = self.recipe.temperature
        draw, mirror = torch.rand(2, generator=generator).tolist()
        teacher = self.teachers[int(draw * len(self.teachers))]
        shown = _brought(normalise(as_channels(pixels, teacher.input), teacher.input), teacher.input.size)
        with torch.no_grad(), _autocast(self.state.precision, self.device):
            answers = teacher.network(shown.flip(3) if mirror < 0.5 else shown).float()
        answered, wanted = F.log_softmax(logits / temperature, 1), F.log_softmax(answers / temperature, 1)
        return temperature**2 * F.kl_div(answered, wanted, reduction="sum", log_target=True)

    def _validate(self, weights: Weights) -> tuple[float, float] | None:
        """Loss and accuracy of `weights` on the validation images, as they are shown later; the network stays."""
        if self.validation is None:
            return None
        present = _copy(self.network)
        self.network.load_state_dict(weights)
        self.network.eval()
        size, resize = self.recipe.shown
        count = len(self.validation.images)
        sums = torch.zeros(2, dtype=torch.float64)
        with torch.inference_mode():
            for chosen in torch.split(torch.arange(count)[parallel.share(count)], min(250, 2 * self.recipe.batch)):
                pixels = fitted(self.validation.images[chosen].to(self.device), square(size, resize))
                wanted = self.validation.targets[chosen].to(self.device)
                with _memory_explained(self.recipe), _autocast(self.state.precision, self.device):
                    logits = self.network(self._inputs(pixels)).float()
                sums[0] += float(F.cross_entropy(logits, wanted, reduction="sum"))
                sums[1] += float((logits.argmax(1) == wanted).sum())
        if parallel.world() > 1:  # where processes meet; Apple's GPUs know no float64
            sums = sums.to(self.device)
        self.network.load_state_dict(present)
        loss, right = (parallel.total(sums) / count).tolist()
        return loss, right


def _keep_freed_memory() -> None:
    """Ask the GNU C library to hand no freed memory back to the system, for the rest of the process.

    Each step needs as much again, and the system empties every page that it gives anew: that took a sixth of the time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # other C libraries do not know it, Windows not even CDLL(None)
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, -1)  # never


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine from the peak to FLOOR of it (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    warm = max(1, round(recipe.warm_up * steps))
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    share = (step - warm) / max(1, steps - warm)
    return recipe.learning_rate * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * share)) / 2)


def _brought(inputs: Tensor, size: tuple[int, int]) -> Tensor:
    """A batch of normalised images at another size, in the memory format that convolutions are fast in."""
    resized = inputs
    if inputs.shape[-2:] != size:
        resized = F.interpolate(inputs, size=size, mode="bilinear", align_corners=False, antialias=True)
    return resized.contiguous(memory_format=torch.channels_last)


def _limited(train: Images, limit: int) -> tuple[Tensor, Tensor]:
    """Images and targets, only so many where there is a limit: evenly over the set, which is ordered by class."""
    if not limit:
        return train.images, train.targets
    chosen = torch.linspace(0, len(train.images) - 1, min(limit, len(train.images))).long()
    return train.images[chosen], train.targets[chosen]


def _shrunk(images: Tensor, size: int) -> Tensor:
    """The images as small as the largest that the network is shown, once for all: augmentation then costs less."""
    return (
        images
        if images.shape[-1] <= size
        else torch.cat([fitted(part, square(size)) for part in torch.split(images, 1000)])
    )


def _optimizer(network: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=device.type in ("cpu", "cuda"))


def _moments(optimizer: torch.optim.Optimizer, network: nn.Module) -> Weights:
    """The optimizer's moments by parameter name, on the CPU."""
    return {
        f"{name}.{moment}": value.cpu().clone()
        for name, parameter in network.named_parameters()
        for moment, value in optimizer.state[parameter].items()
    }


def _restore_moments(optimizer: torch.optim.Optimizer, network: nn.Module, moments: Weights) -> None:
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        for moment in ("step", "exp_avg", "exp_avg_sq"):
            # The step too: fused AdamW counts it on the device.
            on_device = moments[f"{name}.{moment}"].to(parameter.device).clone()
            if moment != "step" and parameter.ndim == 4:
                on_device = on_device.contiguous(memory_format=torch.channels_last)
            optimizer.state[parameter][moment] = on_device


def _masks(network: nn.Module, average: Weights, recipe: Recipe, share: float) -> _Masks:
    """The large linear layers' weights and which of them live in this epoch; the others are set to zero here.

    Gradual magnitude pruning, Zhu & Gupta 2017 (arXiv:1710.01878), equation 1, from PRUNED_FROM to PRUNED_BY. What is
    zero stays the smallest, so the mask follows from the weights and needs no memory of its own.
    """
    if not recipe.prune:
        return []
    way = min(1.0, max(0.0, (share - PRUNED_FROM) / (PRUNED_BY - PRUNED_FROM)))
    zeros = recipe.prune * (1 - (1 - way) ** 3)
    masks: _Masks = []
    for name, parameter in network.named_parameters():
        if parameter.ndim == 2 and parameter.numel() > 1_000_000 and zeros > 0:
            threshold = parameter.detach().abs().flatten().kthvalue(max(1, round(zeros * parameter.numel()))).values
            mask = parameter.detach().abs() > threshold
            parameter.detach().mul_(mask)
            average[name].mul_(mask)
            masks.append((parameter, mask))
    return masks


def _take_in(average: Weights, network: nn.Module, decay: float, steps: int) -> None:
    """Move the average towards the network's present weights and buffers; quickly while it is young."""
    keep = min(decay, steps / (steps + 20))
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, 1 - keep)
        else:
            average[name].copy_(tensor)


def _is_best(state: TrainingState, recipe: Recipe) -> bool:
    """Whether the last epoch is the best so far by validation accuracy; a tie goes to the later one."""
    scores = [epoch.validation_accuracy for epoch in state.epochs[_first_compared(recipe) :]]
    last = state.epochs[-1].validation_accuracy
    return last is None or all(score is None or last >= score for score in scores)


def _is_tired(state: TrainingState, recipe: Recipe) -> bool:
    """Whether `patience` epochs have brought nothing better; a tie is nothing better.

    Of the epochs that `_is_best` compares: a network that is still to be pruned has none.
    """
    scores = [epoch.validation_accuracy or 0.0 for epoch in state.epochs[_first_compared(recipe) :]]
    if not recipe.patience or not scores:
        return False
    return len(scores) - 1 - scores.index(max(scores)) >= recipe.patience


def _first_compared(recipe: Recipe) -> int:
    """How many epochs come before those that may be kept: with pruning, earlier ones have weights that must go."""
    return math.ceil(PRUNED_BY * recipe.epochs) if recipe.prune else 0


def _precision(
    network: nn.Module, taken: Callable[[Tensor], Tensor], images: Tensor, recipe: Recipe, device: torch.device
) -> str:
    """The arithmetic to train in: bfloat16 where it is faster here by a tenth, measured on the recipe's own batch."""
    if recipe.precision != "auto":
        return recipe.precision
    inputs = taken(fitted(images[: recipe.batch].to(device), square(recipe.sizes[-1][1])))
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    seconds = {"float32": math.inf, "bfloat16": math.inf}
    mode = network.training
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.train()
    for _ in range(3):
        for precision in seconds:
            begun = time.perf_counter()
            with _autocast(precision, device), _Seeded(0, 0):
                logits = network(inputs)
            torch.autograd.grad(logits.float().sum(), [p for p in network.parameters() if p.requires_grad])
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[precision] = min(seconds[precision], time.perf_counter() - begun)
        if seconds["bfloat16"] > FAR * seconds["float32"]:
            break
    network.train(mode)
    for name, buffer in network.named_buffers():
        buffer.copy_(buffers[name])
    return "bfloat16" if seconds["bfloat16"] < 0.9 * seconds["float32"] else "float32"


def _autocast(precision: str, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


class _Seeded:
    """Dropout draws from torch's global generator: seeded for one epoch, and as it was afterwards."""

    def __init__(self, seed: int, epoch: int) -> None:
        self.seed = seed * 100_003 + epoch

    def __enter__(self) -> None:
        self.fork = torch.random.fork_rng()
        self.fork.__enter__()
        torch.manual_seed(self.seed)

    def __exit__(self, *error: object) -> None:
        self.fork.__exit__(None, None, None)


def _generators(seed: int, epoch: int) -> Iterator[Generator]:
    """Two generators for one epoch: the order of the images, and what happens to their pixels."""
    for stream in range(2):
        yield torch.Generator().manual_seed((seed * 100_003 + epoch) * 2 + stream)


def _copy(network: nn.Module) -> Weights:
    return _on_cpu(network.state_dict())


def _on_cpu(weights: Weights) -> Weights:
    return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}


def _first_kernels(weights: Weights) -> Tensor:
    return next((tensor for tensor in weights.values() if tensor.ndim == 4), torch.zeros(0)).clone()


def _snapshot_epochs(epochs: int) -> set[int]:
    """1, 2, 4, 8, ... and the last: filters change most at the start."""
    return {2**power for power in range(epochs.bit_length()) if 2**power < epochs} | {epochs}


def _memory_explained(recipe: Recipe) -> AbstractContextManager[None]:
    """A smaller batch is the mend, while there is one."""
    half = recipe.batch // 2
    return memory_explained(recipe.batch, f"try --batch {half}" if half else OTHERS)
