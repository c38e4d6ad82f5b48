"""Training of one network: `fit(network, train, validation, recipe)` -> TrainingState with the weights to keep.

AdamW, linear warm-up and cosine decay, progressive image size, augmentation of whole batches, label smoothing, and an
exponential average of the weights, which is what is validated and kept. Each epoch draws from generators seeded by
(seed, epoch) alone, so that a run resumed at the end of an epoch goes on to the bit as if it had never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from generator.augment import Augmentation, augment
from generator.data import ImageSet
from generator.errors import InputError
from generator.networks import fitted, normalise
from generator.records import Epoch

Weights = dict[str, Tensor]

# The learning rate ends at this share of its peak.
FLOOR = 1e-3
# The average takes in the weights every so many steps: as good as every step, and cheaper.
AVERAGE_EVERY = 4
# How torch says that memory ran out: on GPUs, on the CPU of Linux and macOS, of Windows.
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
# Pruning goes from the first to the second share of the epochs.
PRUNED_FROM, PRUNED_BY = 0.2, 0.75


@dataclass(frozen=True)
class Recipe:
    """The settings of one training run."""

    epochs: int
    augmentation: Augmentation = Augmentation()
    mild: Augmentation = Augmentation()  # in the last `tail` of the epochs
    tail: float = 0.0
    sizes: tuple[tuple[float, int], ...] = ((0.0, 64),)  # (from this share of the epochs on, side of the images)
    batch: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 0.05  # of kernels and matrices; never of biases and batch norm
    betas: tuple[float, float] = (0.9, 0.99)
    warm_up: float = 0.15  # share of the steps
    smoothing: float = 0.1
    average: float = 0.998  # decay a step; 0 keeps the last weights instead
    patience: int = 0  # epochs without a better validation accuracy before the run stops; 0: never
    prune: float = 0.0  # share of the large linear layers' weights that are zero in the end (Zhu & Gupta 2017)
    limit: int = 0  # only so many images, of all classes: the one-batch check; 0: all
    precision: str = "auto"  # "float32", "bfloat16", or "auto": whichever is faster here
    seed: int = 0


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
class Step:
    """What a progress bar may show."""

    epoch: int
    step: int
    steps: int
    loss: float


def fit(
    network: nn.Module,
    train: ImageSet,
    validation: ImageSet | None,
    recipe: Recipe,
    *,
    device: torch.device | None = None,
    state: TrainingState | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
) -> TrainingState:
    """Train `network` in place and return the state whose `best` weights are to be kept.

    Args:
        train, validation: uint8 images and targets; without validation images the last epoch is kept.
        state: of an interrupted run of the same recipe, to go on from.
        on_step: called after each step.
        on_epoch: called with the state after each epoch: the place to save it.
    Raises:
        InputError: where the loss is no longer a number, or memory runs out.
    """
    device = device or torch.device("cpu")
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images, targets = train.images, train.targets
    if recipe.limit:
        # Evenly over the set, which is ordered by class.
        chosen = torch.linspace(0, len(images) - 1, min(recipe.limit, len(images))).long()
        images, targets = images[chosen], targets[chosen]
    optimizer = _optimizer(network, recipe, device)
    if state is None:
        weights = _copy(network)
        state = TrainingState(weights, dict(weights), dict(weights))
        state.snapshots[0] = _first_kernels(weights)
        with _memory_explained(recipe):
            state.precision = _precision(network, images, recipe, device)
    else:
        network.load_state_dict(state.weights)
        _restore_moments(optimizer, network, state.moments)
    # In the network's order, which a resume file does not keep: `_first_kernels` takes the first.
    average = {name: state.average[name].to(device).clone() for name in network.state_dict()}
    batches = math.ceil(len(images) / recipe.batch)
    every = AVERAGE_EVERY if batches >= AVERAGE_EVERY else 1
    marks = _snapshot_epochs(recipe.epochs)

    while not state.complete:
        epoch, begun = len(state.epochs) + 1, time.perf_counter()
        share = (epoch - 1) / recipe.epochs
        size = next(size for start, size in reversed(recipe.sizes) if share >= start)
        how = recipe.mild if share >= 1 - recipe.tail else recipe.augmentation
        order_generator, pixel_generator = _generators(recipe.seed, epoch)
        order = torch.randperm(len(images), generator=order_generator)
        masks = _masks(network, average, recipe, share)
        loss_sum, right = torch.zeros((), device=device), torch.zeros((), device=device)
        network.train()
        with _Seeded(recipe.seed, epoch):
            for number, chosen in enumerate(torch.split(order, recipe.batch)):
                rate = learning_rate(state.steps, batches * recipe.epochs, recipe)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                wanted = targets[chosen].to(device)
                with _memory_explained(recipe):
                    pixels, partner, own = augment(images[chosen].to(device), size, how, pixel_generator)
                    loss, logits = _step(
                        network, optimizer, pixels, wanted, wanted[partner], own, recipe, state.precision
                    )
                if not math.isfinite(value := float(loss)):
                    raise InputError(
                        f"epoch {epoch}, step {number + 1}: the loss is {value}; try a smaller learning rate "
                        f"(now {rate:.2g}), or precision float32 (now {state.precision})"
                    )
                predicted = logits.argmax(1)
                loss_sum += loss * len(chosen)
                right += own * (predicted == wanted).sum() + (1 - own) * (predicted == wanted[partner]).sum()
                for parameter, mask in masks:
                    parameter.detach().mul_(mask)
                state.steps += 1
                if recipe.average and state.steps % every == 0:
                    _take_in(average, network, recipe.average**every, state.steps)
                on_step(Step(epoch, number + 1, batches, value))
        state.weights = _copy(network)
        state.average = {n: t.cpu().clone() for n, t in average.items()} if recipe.average else dict(state.weights)
        state.moments = _moments(optimizer, network)
        validated = _validate(network, state.average, validation, recipe, state.precision, device)
        state.epochs.append(
            Epoch(
                epoch=epoch,
                train_loss=float(loss_sum) / len(images),
                train_accuracy=float(right) / len(images),
                validation_loss=validated and validated[0],
                validation_accuracy=validated and validated[1],
                learning_rate=rate,
                seconds=time.perf_counter() - begun,
                image_size=size,
            )
        )
        if epoch in marks:
            state.snapshots[epoch] = _first_kernels(state.average)
        if _is_best(state, recipe):
            state.best, state.kept = dict(state.average), epoch
        state.complete = epoch >= recipe.epochs or bool(recipe.patience and epoch - state.kept >= recipe.patience)
        on_epoch(state)
    network.load_state_dict(state.best)
    return state


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine from the peak to FLOOR of it (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    warm = max(1, round(recipe.warm_up * steps))
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    share = (step - warm) / max(1, steps - warm)
    return recipe.learning_rate * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * share)) / 2)


def _step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    pixels: Tensor,
    wanted: Tensor,
    other: Tensor,
    own: float,
    recipe: Recipe,
    precision: str,
) -> tuple[Tensor, Tensor]:
    """One step of gradient descent; the loss before it, and the logits (N, K) float32."""
    inputs = normalise(pixels).contiguous(memory_format=torch.channels_last)
    with _autocast(precision, inputs.device):
        logits = network(inputs)
    logits = logits.float()
    loss = own * F.cross_entropy(logits, wanted, label_smoothing=recipe.smoothing)
    if own < 1:
        loss = loss + (1 - own) * F.cross_entropy(logits, other, label_smoothing=recipe.smoothing)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach(), logits.detach()


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
        for moment in ("step", "exp_avg", "exp_avg_sq"):
            # The step too: fused AdamW counts it on the device.
            on_device = moments[f"{name}.{moment}"].to(parameter.device).clone()
            if moment != "step" and parameter.ndim == 4:
                on_device = on_device.contiguous(memory_format=torch.channels_last)
            optimizer.state[parameter][moment] = on_device


def _masks(network: nn.Module, average: Weights, recipe: Recipe, share: float) -> list[tuple[Tensor, Tensor]]:
    """The large linear layers' weights and which of them live in this epoch; the others are set to zero here.

    Gradual magnitude pruning, Zhu & Gupta 2017 (arXiv:1710.01878), equation 1, from PRUNED_FROM to PRUNED_BY. What is
    zero stays the smallest, so the mask follows from the weights and needs no memory of its own.
    """
    if not recipe.prune:
        return []
    way = min(1.0, max(0.0, (share - PRUNED_FROM) / (PRUNED_BY - PRUNED_FROM)))
    zeros = recipe.prune * (1 - (1 - way) ** 3)
    masks: list[tuple[Tensor, Tensor]] = []
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


def _validate(
    network: nn.Module,
    weights: Weights,
    validation: ImageSet | None,
    recipe: Recipe,
    precision: str,
    device: torch.device,
) -> tuple[float, float] | None:
    """Loss and accuracy of `weights` on the validation images, at the last training size; the network is unchanged."""
    if validation is None:
        return None
    present = _copy(network)
    network.load_state_dict(weights)
    network.eval()
    size = recipe.sizes[-1][1]
    loss = right = 0.0
    with torch.inference_mode():
        for chosen in torch.split(torch.arange(len(validation.images)), 250):
            pixels = validation.images[chosen].to(device)
            wanted = validation.targets[chosen].to(device)
            inputs = normalise(fitted(pixels, size)).contiguous(memory_format=torch.channels_last)
            with _autocast(precision, device):
                logits = network(inputs)
            loss += float(F.cross_entropy(logits.float(), wanted, reduction="sum"))
            right += float((logits.argmax(1) == wanted).sum())
    network.load_state_dict(present)
    return loss / len(validation.images), right / len(validation.images)


def _is_best(state: TrainingState, recipe: Recipe) -> bool:
    """Whether the last epoch is the best so far by validation accuracy; a tie goes to the later one.

    Where weights are pruned, only epochs after the pruning are compared: earlier ones have weights that must go.
    """
    first = math.ceil(PRUNED_BY * recipe.epochs) if recipe.prune else 0
    scores = [epoch.validation_accuracy for epoch in state.epochs[first:]]
    last = state.epochs[-1].validation_accuracy
    return last is None or all(score is None or last >= score for score in scores)


def _precision(network: nn.Module, images: Tensor, recipe: Recipe, device: torch.device) -> str:
    """The arithmetic to train in: bfloat16 where it is faster here by a tenth, measured on the recipe's own batch."""
    if recipe.precision != "auto":
        return recipe.precision
    inputs = normalise(fitted(images[: recipe.batch].to(device), recipe.sizes[-1][1]))
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
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _first_kernels(weights: Weights) -> Tensor:
    return next(tensor for tensor in weights.values() if tensor.ndim == 4).clone()


def _snapshot_epochs(epochs: int) -> set[int]:
    """1, 2, 4, 8, ... and the last: filters change most at the start."""
    return {2**power for power in range(epochs.bit_length()) if 2**power < epochs} | {epochs}


@contextmanager
def _memory_explained(recipe: Recipe) -> Iterator[None]:
    """Memory that runs out inside as one line with its mend; any other error as it is."""
    try:
        yield
    except RuntimeError as error:  # torch has no common class for it
        if any(words in str(error) for words in NO_MEMORY):
            raise InputError(
                f"out of memory with batches of {recipe.batch}; try --batch {max(1, recipe.batch // 2)}"
            ) from error
        raise
