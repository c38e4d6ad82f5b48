"""What Grad-CAM costs beside the forward pass that it needs anyway, ours and others': the README's figures.

AlexNet with random weights and 30 classes, images of 224 pixels, the layer before the last pooling. All take turns in
one process on one thread; a cost is CPU time divided by that of plain forward passes just before and after, and the
median over the rounds is shown. grad-cam and torchcam take part where they are installed. The others are given the
class to explain where they ask for one; ours and grad-cam find the predicted class themselves.

Usage: python benchmarks/explanations.py [--rounds N] [--batches N ...]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torchvision.models import alexnet

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from generator import explain  # noqa: E402
from generator.base import environment  # noqa: E402

CLASSES = 30
LAYER = "features.11"
OURS = "ours"

# (network, images, the predicted class of each) -> maps
Explain = Callable[[nn.Module, Tensor, Tensor], object]


def forward(network: nn.Module, images: Tensor, _predicted: Tensor) -> object:
    with torch.no_grad():
        return network(images)


def ours(network: nn.Module, images: Tensor, _predicted: Tensor) -> Tensor:
    return explain.grad_cam(network, images, layer=LAYER)


def ours_all(network: nn.Module, images: Tensor, _predicted: Tensor) -> Tensor:
    return explain.grad_cam_all(network, images, LAYER)


def captum(network: nn.Module, images: Tensor, predicted: Tensor) -> Tensor:
    method = LayerGradCam(network, network.get_submodule(LAYER))
    return method.attribute(images, predicted, relu_attributions=True)[:, 0].detach()


def captum_all(network: nn.Module, images: Tensor, _predicted: Tensor) -> Tensor:
    return torch.stack([captum(network, images, torch.full((len(images),), index)) for index in range(CLASSES)], 1)


def grad_cam_package(network: nn.Module, images: Tensor, _predicted: Tensor) -> object:
    from pytorch_grad_cam import GradCAM

    with GradCAM(network, [network.get_submodule(LAYER)]) as cam:
        return cam(images, None)


def grad_cam_package_all(network: nn.Module, images: Tensor, _predicted: Tensor) -> object:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with GradCAM(network, [network.get_submodule(LAYER)]) as cam:
        return [cam(images, [ClassifierOutputTarget(index)] * len(images)) for index in range(CLASSES)]


def torchcam(network: nn.Module, images: Tensor, predicted: Tensor) -> object:
    from torchcam.methods import GradCAM

    with GradCAM(network, LAYER) as extractor:
        return extractor(predicted.tolist(), network(images))


def torchcam_all(network: nn.Module, images: Tensor, _predicted: Tensor) -> object:
    from torchcam.methods import GradCAM

    with GradCAM(network, LAYER) as extractor:
        scores = network(images)
        return [extractor([index] * len(images), scores, retain_graph=True) for index in range(CLASSES)]


# Name -> the module that must be there, for the predicted class, for all classes.
CONTESTANTS: dict[str, tuple[str, Explain, Explain]] = {
    OURS: ("generator", ours, ours_all),
    "captum": ("captum", captum, captum_all),
    "torchcam": ("torchcam", torchcam, torchcam_all),
    "grad-cam": ("pytorch_grad_cam", grad_cam_package, grad_cam_package_all),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16], help="images at once")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = alexnet(num_classes=CLASSES).eval()
    present = {name: found for name, found in CONTESTANTS.items() if find_spec(found[0])}
    costs = {count: measured(network, count, options.rounds, present) for count in options.batches}
    described(options.rounds)
    print(f"| x forward pass | {' | '.join(f'{kind}, B = {n}' for kind in KINDS for n in options.batches)} |")
    print("|---|" + "---:|" * (len(KINDS) * len(options.batches)))
    for name in CONTESTANTS:
        cells = [
            f"{costs[count][name, kind]:.2f}" if name in present else "not installed"
            for kind in KINDS
            for count in options.batches
        ]
        print(f"| {name} | {' | '.join(cells)} |")


KINDS = ("predicted class", f"all {CLASSES} classes")


def measured(
    network: nn.Module, count: int, rounds: int, present: dict[str, tuple[str, Explain, Explain]]
) -> dict[tuple[str, str], float]:
    """(contestant, kind) -> the median over the rounds of its CPU time in forward passes."""
    images = torch.randn(count, 3, 224, 224)
    with torch.no_grad():
        predicted = network(images).argmax(1)
    check(network, images, predicted)
    calls = {(name, kind): call for name, found in present.items() for kind, call in zip(KINDS, found[1:], strict=True)}
    shares: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for turn in range(rounds + 1):
        print(f"B = {count}, round {turn} of {rounds}", file=sys.stderr)
        for key, call in calls.items():
            before, cost, after = (cpu_seconds(one, network, images, predicted) for one in (forward, call, forward))
            if turn:  # the first round warms up
                shares[key].append(2 * cost / (before + after))
    return {key: statistics.median(found) for key, found in shares.items()}


def check(network: nn.Module, images: Tensor, predicted: Tensor) -> None:
    """What is fast must be right: the same maps as captum's, of the predicted class and of all."""
    one, every = captum(network, images, predicted), captum_all(network, images, predicted)
    for found, want in ((ours(network, images, predicted), one), (ours_all(network, images, predicted), every)):
        difference = (found - want).abs().max() / want.max()
        if difference > 1e-4:
            sys.exit(f"our maps differ from captum's by {difference:.1e} of the maximum")


def cpu_seconds(call: Explain, network: nn.Module, images: Tensor, predicted: Tensor) -> float:
    begun = time.process_time()
    call(network, images, predicted)
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
