"""What Grad-CAM costs beside the forward pass that it needs anyway, ours and others': the README's figures.

Networks with random weights and 30 classes, images of 224 pixels, the layer named: the maps before the last pooling,
of the vision transformer the tokens that its last block reads. All take turns in one process on one thread; a cost is
CPU time divided by that of plain forward passes just before and after, and the median over the rounds is shown.
grad-cam and torchcam take part where they are installed; where tokens have no rows and columns for them, they have no
figure, and grad-cam is told them by hand. The others are given the class to explain where they ask for one; ours and
grad-cam find the predicted class themselves.

Usage: python benchmarks/explanations.py [--rounds N] [--batches N ...] [--networks NAME ...] [--one]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torchvision import models

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from generator import explain  # noqa: E402
from generator.base import environment  # noqa: E402

CLASSES = 30
OURS = "ours"
SIDE = 14  # of the transformer's patches


def by_rows(tokens: Tensor) -> Tensor:
    """The transformer's tokens without its class token as maps, as grad-cam wants to be told."""
    return tokens[:, 1:].reshape(len(tokens), SIDE, SIDE, -1).permute(0, 3, 1, 2)


class Subject:
    """A network, the layer to explain, and how the package grad-cam is told what its cells are."""

    def __init__(self, name: str) -> None:
        constructor, self.layer, self.reshape = NETWORKS[name]
        self.network = constructor(num_classes=CLASSES).eval()
        for module in self.network.modules():
            if isinstance(module, nn.Linear) and module.out_features == CLASSES:
                nn.init.normal_(module.weight, std=0.02)  # torchvision's transformers begin with zeros
        # Where its cells are is asked once, as a loop over many batches would.
        self.choice = explain.layer_choice(self.network, torch.randn(1, 3, 224, 224))
        assert self.choice.layer == self.layer


# As torchvision makes them: the layer, and what grad-cam is told.
NETWORKS: dict[str, tuple[Callable[..., nn.Module], str, Callable[[Tensor], Tensor] | None]] = {
    "alexnet": (models.alexnet, "features.11", None),
    "resnet18": (models.resnet18, "layer4", None),
    "mobilenet_v3_large": (models.mobilenet_v3_large, "features", None),
    "convnext_tiny": (models.convnext_tiny, "features", None),
    "vit_b_16": (models.vit_b_16, "encoder.layers.encoder_layer_11.ln_1", by_rows),
}

# (network, images, the predicted class of each) -> maps
Explain = Callable[[Subject, Tensor, Tensor], object]


def forward(subject: Subject, images: Tensor, _predicted: Tensor) -> object:
    with torch.no_grad():
        return subject.network(images)


def ours(subject: Subject, images: Tensor, _predicted: Tensor) -> Tensor:
    return explain.grad_cam(subject.network, images, layer=subject.choice)


def ours_all(subject: Subject, images: Tensor, _predicted: Tensor) -> Tensor:
    return explain.grad_cam_all(subject.network, images, subject.choice)


def captum(subject: Subject, images: Tensor, predicted: Tensor) -> Tensor:
    method = LayerGradCam(subject.network, subject.network.get_submodule(subject.layer))
    return method.attribute(images, predicted, relu_attributions=True)[:, 0].detach()


def captum_all(subject: Subject, images: Tensor, _predicted: Tensor) -> Tensor:
    return torch.stack([captum(subject, images, torch.full((len(images),), index)) for index in range(CLASSES)], 1)


def package(subject: Subject) -> Any:
    from pytorch_grad_cam import GradCAM

    layers = [subject.network.get_submodule(subject.layer)]
    return GradCAM(subject.network, layers, reshape_transform=subject.reshape)


def grad_cam_package(subject: Subject, images: Tensor, _predicted: Tensor) -> object:
    with package(subject) as cam:
        return cam(images, None)


def grad_cam_package_all(subject: Subject, images: Tensor, _predicted: Tensor) -> object:
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with package(subject) as cam:
        return [cam(images, [ClassifierOutputTarget(index)] * len(images)) for index in range(CLASSES)]


def torchcam(subject: Subject, images: Tensor, predicted: Tensor) -> object:
    from torchcam.methods import GradCAM

    with GradCAM(subject.network, subject.layer) as extractor:
        return extractor(predicted.tolist(), subject.network(images))


def torchcam_all(subject: Subject, images: Tensor, _predicted: Tensor) -> object:
    from torchcam.methods import GradCAM

    with GradCAM(subject.network, subject.layer) as extractor:
        scores = subject.network(images)
        return [extractor([index] * len(images), scores, retain_graph=True) for index in range(CLASSES)]


# Name -> the module that must be there, for the predicted class, for all classes.
CONTESTANTS: dict[str, tuple[str, Explain, Explain]] = {
    OURS: ("generator", ours, ours_all),
    "captum": ("captum", captum, captum_all),
    "torchcam": ("torchcam", torchcam, torchcam_all),
    "grad-cam": ("pytorch_grad_cam", grad_cam_package, grad_cam_package_all),
}
OF_TOKENS = (OURS, "grad-cam")  # who can be told, or finds out, that tokens are cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16], help="images at once")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--one", action="store_true", help="of peers the predicted class alone: all take them long")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    present = [name for name, found in CONTESTANTS.items() if find_spec(found[0])]
    described(options.rounds)
    columns = [f"{kind}, B = {count}" for kind in KINDS for count in options.batches]
    print(f"| x forward pass | | {' | '.join(columns)} |")
    print("|---|---|" + "---:|" * len(columns))
    for network in options.networks:
        subject = Subject(network)
        able = [name for name in present if subject.reshape is None or name in OF_TOKENS]
        asked = [(name, kind) for name in able for kind in KINDS if name == OURS or kind == KINDS[0] or not options.one]
        costs = {count: measured(subject, count, options.rounds, asked) for count in options.batches}
        for name in CONTESTANTS:
            if name not in able:
                continue
            found = [costs[count].get((name, kind)) for kind in KINDS for count in options.batches]
            cells = ["–" if cost is None else f"{cost:.2f}" for cost in found]
            print(f"| {network} | {name} | {' | '.join(cells)} |", flush=True)


KINDS = ("predicted class", f"all {CLASSES} classes")


def measured(
    subject: Subject, count: int, rounds: int, asked: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    """(contestant, kind), those `asked` for -> the median over the rounds of its CPU time in forward passes."""
    images = torch.randn(count, 3, 224, 224)
    with torch.no_grad():
        predicted = subject.network(images).argmax(1)
    if ("captum", KINDS[0]) in asked:
        check(subject, images, predicted)
    calls = {(name, kind): CONTESTANTS[name][1 + KINDS.index(kind)] for name, kind in asked}
    shares: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for turn in range(rounds + 1):
        print(f"{subject.layer}, B = {count}, round {turn} of {rounds}", file=sys.stderr)
        for key, call in calls.items():
            before, cost, after = (cpu_seconds(one, subject, images, predicted) for one in (forward, call, forward))
            if turn:  # the first round warms up
                shares[key].append(2 * cost / (before + after))
    return {key: statistics.median(found) for key, found in shares.items()}


def check(subject: Subject, images: Tensor, predicted: Tensor) -> None:
    """What is fast must be right: the same maps as captum's, of the predicted class and of all."""
    one = captum(subject, images, predicted)
    found = ours(subject, images, predicted)
    every = ours_all(subject, images, predicted)[range(len(images)), predicted]
    scale = explain.channel_contributions(subject.network, images, predicted, subject.choice).abs().amax()
    for maps in (found, every):  # of random weights the terms of the sum nearly cancel out
        difference = (maps - one).abs().max() / max(one.max(), scale)
        if difference > 1e-4:
            sys.exit(f"our maps differ from captum's by {difference:.1e} of the maximum")


def cpu_seconds(call: Explain, subject: Subject, images: Tensor, predicted: Tensor) -> float:
    begun = time.process_time()
    call(subject, images, predicted)
    return time.process_time() - begun


def described(rounds: int) -> None:
    """Hardware and versions, as a measured claim carries them."""
    packages = []
    for package in ("torch", "torchvision", "captum", "torchcam", "grad-cam"):
        try:
            packages.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            packages.append(f"{package} not installed")
    processor = environment.hardware()["processor"]
    print(f"{processor}, 1 thread, CPU time, median of {rounds} rounds; {', '.join(packages)}\n")


if __name__ == "__main__":
    main()
