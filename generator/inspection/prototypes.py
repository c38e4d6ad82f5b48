"""What a class looks like to a network: images that raise one class's logit, found by gradient ascent.

A network and class indices go in, images come out; no image of a data set takes part. Free ascent ends in noise that no
photo has, so the usual means of Olah, Mordvintsev and Schubert 2017 ("Feature Visualization",
distill.pub/2017/feature-visualization) hold it back: the image is described by its frequencies, of which the low ones
change most easily, in colours that vary as those of photos do; it is moved, turned and scaled at every step; and its
total variation has a price (Mahendran and Vedaldi 2015, arXiv:1412.0035). Two more keep it near photos: its contrast is
fixed, and noise is laid over it at every step, so that a faint pattern counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from generator.base import terminal
from generator.base.errors import InputError
from generator.explain.passes import evaluating
from generator.inspection.photo import ALL_CLASSES
from generator.networks.architecture import require_finite
from generator.networks.devices import array_of, device_of
from generator.networks.folder import ClassSheet, load_class_images, save_class_images
from generator.networks.inputs import as_channels, normalise
from generator.networks.loaded import Loaded
from generator.records.images import Arrays, Pixels
from generator.records.input import Input
from generator.records.network import ClassImages

STEPS = 128
RATES = (0.05, 0.02)  # Adam's, of the spectrum and of the mean colour
CONTRAST = 1.0  # deviation of the lightness before the sigmoid: about 0.23 of the range after it, as photos have
NOISE = 0.08  # deviation of the noise laid over an image in [0, 1]
SMOOTH = 36.0  # logits that a mean step of 1 between neighbouring pixels costs
JITTER = 0.08  # of the side, each way
TURN = 0.2  # radians, each way
ZOOM = 0.15  # each way

# Square root of the covariance of the colours of photos, from the code of Olah et al. 2017 (tensorflow/lucid,
# optvis/param/color.py); the columns are lightness, red to blue, and green to magenta, the rows red, green and blue.
COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))

# Steps towards the images of the classes: for 30 classes at 64 pixels 51 s of one CPU core's time (n = 1, torch 2.14);
# larger images cost more a step and get fewer.
CLASS_STEPS, LARGE_CLASS_STEPS = 128, 64
CLASS_SEED = 0
# Multiply-accumulates that a build spends on them where nobody made them before: a minute or so of two cores.
BUDGET = 4 * 10**12
SMALL = 64  # side of an image in pixels


def maximise(model: nn.Module, targets: Sequence[int], way: Input, *, seed: int = 0, steps: int = STEPS) -> Tensor:
    """One image for each class, all in one batch.

    Args:
        model: takes (N, C, H, W) float32 normalised as `way` says, gives logits (N, K). Its weights, gradients and
            modes stay as they are.
        targets: class indices.
        way: how it takes images: in colour or grey.
        seed: of the start and of the movements; the same one gives the same images on the same machine.
        steps: of the ascent.
    Returns:
        (len(targets), 3, H, W) uint8.
    Raises:
        InputError: where a gradient is not finite.
    """
    generator, device = Generator().manual_seed(seed), device_of(model)
    with evaluating(model):
        share = _photographic(way.size).to(device)
        spectrum = torch.randn(len(targets), 3, *share.shape, 2, generator=generator).to(device)
        colour = torch.zeros(len(targets), 3, 1, 1, device=device)
        with torch.enable_grad():
            _climb(model, targets, spectrum, colour, share, generator, steps, way)
        pictures = _pictures(spectrum, colour, share, way.size)
        if way.channels == 1:  # which sees no colours, so that none were sought
            pictures = as_channels(pictures, way).expand(-1, 3, -1, -1)
        return (pictures * 255).round().to(torch.uint8).cpu()


def _climb(
    model: nn.Module,
    targets: Sequence[int],
    spectrum: Tensor,
    colour: Tensor,
    share: Tensor,
    generator: Generator,
    steps: int,
    way: Input,
) -> None:
    """Change the spectrum and the mean colour, in place, so that the logits of the targets rise."""
    chosen = torch.arange(len(targets), device=share.device), torch.as_tensor(targets, device=share.device)
    parts = [spectrum.requires_grad_(), colour.requires_grad_()]
    ascent = torch.optim.Adam(
        [{"params": [part], "lr": rate} for part, rate in zip(parts, RATES, strict=True)], maximize=True
    )
    for _ in range(steps):
        images = _pictures(spectrum, colour, share, way.size)
        moved = _moved(images, generator)
        noise = NOISE * torch.randn(moved.shape, generator=generator).to(moved.device)
        gain = model(_normalised(moved + noise, way))[chosen].sum() - SMOOTH * _variation(images)
        for part, gradient in zip(parts, torch.autograd.grad(gain, parts), strict=True):
            if not gradient.isfinite().all():
                raise InputError(
                    f"{type(model).__name__}: expected finite gradients of its logits, found NaN or infinity; train it "
                    "again or name another file of weights"
                )
            part.grad = gradient
        ascent.step()


def _photographic(size: tuple[int, int]) -> Tensor:
    """(H, W // 2 + 1): how strong each frequency is in photos, 1 / frequency (Field 1987); 0 for the mean."""
    down, across = torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])[None]
    amplitude: Tensor = (down**2 + across**2).sqrt().clamp_min(1 / max(size)).reciprocal()
    amplitude[0, 0] = 0
    return amplitude


def _pictures(spectrum: Tensor, colour: Tensor, share: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, 3, h, w, 2) coefficients and (N, 3, 1, 1) mean colours -> (N, 3, *size) in [0, 1]."""
    planes = torch.fft.irfft2(torch.view_as_complex(spectrum) * share, s=size)
    planes = planes / planes.std((1, 2, 3), keepdim=True) + colour
    mixed = torch.einsum("ij,njhw->nihw", torch.tensor(COLOURS, device=planes.device), planes)
    return (mixed * CONTRAST / COLOURS[1][0]).sigmoid()


def _moved(images: Tensor, generator: Generator) -> Tensor:
    """Each image shifted, turned and scaled a little; its mirror image comes in at the edges."""

    def within(limit: float) -> Tensor:
        return limit * (2 * torch.rand(len(images), generator=generator).to(images.device) - 1)

    angle, zoom = within(TURN), 1 + within(ZOOM)
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    rows = torch.stack([cos, -sin, within(2 * JITTER)], 1), torch.stack([sin, cos, within(2 * JITTER)], 1)
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _normalised(images: Tensor, way: Input) -> Tensor:
    """(N, 3, H, W) in [0, 1] as the network takes them."""
    scaled = as_channels(images, way) * way.range
    scaled = scaled.flip(1) if way.order == "bgr" else scaled
    mean, std = (torch.tensor(values, device=images.device).view(1, -1, 1, 1) for values in (way.mean, way.std))
    return (scaled - mean) / std


def _variation(images: Tensor) -> Tensor:
    """Mean step between neighbouring pixels, down and across, added up over the images."""
    return (images.diff(dim=2).abs().mean((1, 2, 3)) + images.diff(dim=3).abs().mean((1, 2, 3))).sum()


def kept(loaded: Loaded) -> ClassSheet | None:
    """The images that were made for the classes of these very weights and are on record; None where none are."""
    for folder in loaded.recorded:
        found = load_class_images(folder)
        if found and found.weights_digest == loaded.digest and found.images.shape[:3] == _shape(loaded):
            return found
    return None


def keep(loaded: Loaded) -> None:
    """Put the images of the classes on record, where they can be made and are not on it yet."""
    if loaded.evaluated is None or kept(loaded) is not None or not _can_be_made(loaded):
        return
    terminal.say(f"{loaded.title}: making an image for each of its {len(loaded.class_names)} classes")
    images, steps = _made(loaded)
    save_class_images(loaded.evaluated, ClassSheet(loaded.digest, CLASS_SEED, steps, images))


def made_for_classes(loaded: Loaded, on_record: ClassSheet | None = None) -> dict[str, NDArray[Any]]:
    """An image for each class of a network that has few of them, as arrays: see `class_images_of`.

    Args:
        on_record: what `kept` found; without it they are made.
    """
    if not _can_be_made(loaded):
        return {}
    if on_record is None and cost(loaded) > BUDGET:
        terminal.say(f"{loaded.title}: no images of its classes are made, which would take long; `evaluate` makes them")
        return {}
    images, steps = (on_record.images, on_record.steps) if on_record else _made(loaded)
    with torch.no_grad():
        shown = torch.tensor(images).permute(0, 3, 1, 2).to(loaded.device)
        logits = loaded.network(normalise(as_channels(shown, loaded.input), loaded.input))
    require_finite(logits, loaded.network)
    return {
        "images": images,
        "logits": array_of(logits),
        "seed": np.array(on_record.seed if on_record else CLASS_SEED),
        "steps": np.array(steps),
    }


def makes(loaded: Loaded) -> bool:
    """Whether a build makes images of a network's classes that are on no record: of few, and within the budget."""
    return _can_be_made(loaded) and cost(loaded) <= BUDGET


def _can_be_made(loaded: Loaded) -> bool:
    """Whether it has few classes, and an ascent, for which there is to be a gradient by the image."""
    few = len(loaded.class_names) <= ALL_CLASSES
    usable = loaded.differentiable and "integrated gradients" not in loaded.methods[1]  # whose gradients are finite
    return few and loaded.input.takes_photos and usable


def cost(loaded: Loaded) -> int:
    """What the images of its classes cost in multiply-accumulates, more or less: a pass there and back a step."""
    return 3 * loaded.once * len(loaded.class_names) * _steps(loaded.input)


def _steps(way: Input) -> int:
    return CLASS_STEPS if max(way.size) <= SMALL else LARGE_CLASS_STEPS


def _made(loaded: Loaded) -> tuple[Pixels, int]:
    """(K, H, W, 3) for the classes of a network, and in how many steps."""
    way = loaded.input
    steps = _steps(way)
    images = maximise(loaded.network, range(len(loaded.class_names)), way, seed=CLASS_SEED, steps=steps)
    return images.permute(0, 2, 3, 1).contiguous().numpy(), steps


def _shape(loaded: Loaded) -> tuple[int, int, int]:
    return len(loaded.class_names), *loaded.input.size


def class_images_of(arrays: Arrays) -> ClassImages | None:
    """The record of what `made_for_classes` made."""
    if not arrays:
        return None
    return ClassImages(
        images=arrays["images"].astype(np.uint8),
        logits=arrays["logits"].astype(np.float32),
        seed=int(arrays["seed"]),
        steps=int(arrays["steps"]),
    )
