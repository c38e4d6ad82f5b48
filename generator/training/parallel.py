"""More than one process on one training run or evaluation, as `torchrun` starts them; with one, nothing changes.

    with parallel.group():
        part = parallel.share(len(batch))       # the rows of this process
        loss = parallel.total(loss_of_part)     # the sum over all processes

Every process draws the same random numbers for the whole batch and works on its own rows, batch norm and dropout see
the whole batch, and gradients are summed by PyTorch's DistributedDataParallel: the result is that of one process,
within rounding.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from generator.base.errors import InputError
from generator.networks.devices import CPU
from generator.records.images import Floats

Value = TypeVar("Value")
# One process may wait for another as long as that takes to look through a data set; torchrun ends both if one dies.
PATIENCE = timedelta(days=7)
_alone = ContextVar("alone", default=False)


def started() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def group(here: torch.device = CPU) -> Iterator[None]:
    """The processes that torchrun started find each other: over NCCL on GPUs, Gloo elsewhere.

    Args:
        here: the device of this process.
    """
    if not started():
        yield
        return
    try:
        if here.type == "cuda":
            torch.cuda.set_device(here)
        dist.init_process_group("nccl" if here.type == "cuda" else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"expected {os.environ['WORLD_SIZE']} processes that find each other, as torchrun starts them ({error})"
        ) from error
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def alone() -> Iterator[None]:
    """As if this process were the only one: what it does within, it does not share with those that train beside it."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def rank() -> int:
    """Number of this process; 0 is the one that writes files and speaks."""
    return dist.get_rank() if dist.is_initialized() and not _alone.get() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() and not _alone.get() else 1


def share(count: int) -> slice:
    """The rows of `count` that this process works on: neighbours, in the order of the ranks, alike but for one."""
    return slice(rank() * count // world(), (rank() + 1) * count // world())


def total(tensor: Tensor) -> Tensor:
    """The sum over all processes, without gradient."""
    if world() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


def agreed(value: Value) -> Value:
    """The value that process 0 has."""
    if world() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def each(value: Value) -> list[Value]:
    """What every process has, in the order of the ranks."""
    if world() == 1:
        return [value]
    values = [value] * world()
    dist.all_gather_object(values, value)
    return values


def gathered(rows: Floats) -> Floats:
    """The rows of all processes, in the order of the ranks."""
    return np.concatenate(each(rows)) if world() > 1 else rows


def neighbours() -> tuple[int, int]:
    """The number of this process among those of its machine, and how many these are."""
    if world() == 1:
        return 0, 1
    return int(os.environ.get("LOCAL_RANK", rank())), int(os.environ.get("LOCAL_WORLD_SIZE", world()))


def meet() -> None:
    """Wait until all processes are here."""
    if world() > 1:
        dist.barrier()


@contextmanager
def one_first() -> Iterator[None]:
    """One process of each machine goes through first, the others when those are done: to fill caches and download."""
    first = neighbours()[0] == 0
    if not first:
        meet()
    yield
    if first:
        meet()


@dataclass
class Batch:
    """How many rows the batch at hand has, and which this process works on; dropout must know."""

    count: int
    rows: slice


class Replica:
    """A network as one of several processes trains it: a copy whose batch norm and dropout see the whole batch.

    `network` has the parameters and the state; calling the replica does the forward pass.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.batch = Batch(0, slice(0))
        self.network, self.forward = network, network
        if world() > 1:
            self.network = _of_the_whole_batch(copy.deepcopy(network), self.batch)
            with warnings.catch_warnings():
                # Its successor `forward_sync_buffers` is not in every torch that is supported.
                warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
                # Batch norm keeps its own statistics alike, so nothing but gradients need be sent.
                self.forward = DistributedDataParallel(
                    self.network, [device] if device.type == "cuda" else None, broadcast_buffers=False
                )

    def __call__(self, images: Tensor) -> Tensor:
        """Logits of this process's rows."""
        logits: Tensor = self.forward(images)
        return logits

    def rows(self, count: int) -> slice:
        """The rows of a batch of `count` that are this process's.

        Raises:
            InputError: where there are fewer rows than processes.
        """
        if count < world():
            raise InputError(
                f"a batch of {count} images for {world()} processes: expected one each at least; choose a --batch that "
                "divides the number of images, or fewer processes"
            )
        self.batch.count, self.batch.rows = count, share(count)
        return self.batch.rows


class WholeBatchNorm(nn.BatchNorm2d):
    """Batch norm with mean and variance over the rows of all processes (Ioffe & Szegedy 2015, arXiv:1502.03167).

    PyTorch's own SyncBatchNorm works on GPUs only.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape and dtype."""
        if not self.training:
            return super().forward(inputs)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        values = inputs.float()
        count = total(torch.tensor(float(values[:, 0].numel()), device=values.device))
        mean = _sum(values.sum((0, 2, 3))) / count
        centred = values - mean.view(1, -1, 1, 1)
        variance = _sum(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            keep = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean, keep)
            self.running_var.lerp_(variance * count / (count - 1), keep)
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        normalised = centred * scale.view(1, -1, 1, 1)
        if self.affine:
            normalised = normalised + self.bias.view(1, -1, 1, 1)
        return normalised.to(inputs.dtype)


class WholeBatchDropout(nn.Dropout):
    """Dropout that draws for the whole batch, as one process would, and uses this process's rows of it."""

    batch: Batch

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, ...), n of the batch's rows -> the same shape and dtype."""
        if not self.training:
            return inputs
        whole = torch.ones((self.batch.count, *inputs.shape[1:]), dtype=inputs.dtype, device=inputs.device)
        kept: Tensor = inputs * nn.functional.dropout(whole, self.p)[self.batch.rows]
        return kept


class _Sum(torch.autograd.Function):
    """Each process's loss depends on the sum, so that its gradient is the sum of all processes' gradients.

    torch.distributed.nn has the same, deprecated.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ARG004 (torch gives it)
        return total(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return total(gradient)


def _sum(tensor: Tensor) -> Tensor:
    """The sum over all processes, through which gradients flow."""
    found: Tensor = _Sum.apply(tensor)
    return found


def _of_the_whole_batch(network: nn.Module, batch: Batch) -> nn.Module:
    """`network` with its batch norms and dropouts exchanged in place; parameters and their names stay."""
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.BatchNorm2d):
                norm = WholeBatchNorm(module.num_features, module.eps, module.momentum, module.affine)
                norm.__dict__.update(module.__dict__)
                setattr(parent, name, norm)
            elif isinstance(module, nn.Dropout):
                dropout = WholeBatchDropout(module.p)
                dropout.batch = batch
                setattr(parent, name, dropout)
    return network
