"""Whether a trained transformer's heat maps are of what it learnt: the table of docs/experiments.md.

timm's vit_tiny with four blocks of 64 channels on patches of 4 pixels learns Fashion-MNIST's classes for some minutes.
Then each method's maps of the right class are compared, on test images that it names correctly, with a random order and
its own maps of another class and of random weights: by deletion to the mean, as `evaluate` measures it, and by rank
correlation. Prints a Markdown table of means with intervals of 95 % (percentile bootstrap over the images).
The training goes on where it was stopped: each epoch is kept in the file of --weights.
Usage: FASHION_MNIST=folder python benchmarks/transformer.py [--weights FILE] [--epochs N] [--images N]
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.data import idx
from generator.evaluation.bootstrap import estimates
from generator.evaluation.perturbation import STEPS, curve_area, exchanged_probabilities, removal_order
from generator.evaluation.pointing import upsampled, wrong_classes
from generator.evaluation.randomisation import cascade, randomise, spearman
from generator.evaluation.task import Task, logits_of, maps_of
from generator.explain import choose_layer
from generator.explain.methods import METHODS, suited
from generator.explain.passes import in_eval_mode
from generator.networks.inputs import normalise
from generator.records.input import Input
from generator.records.trust import Estimate

COLUMNS = (
    "deletion", "than a random order", "than another class's", "than random weights'", "like another class's",
    "like random weights'",
)  # fmt: skip
VARIABLE = "FASHION_MNIST"
SEED = 0
EPOCHS, BATCH, RATE = 8, 128, 2e-3
TRAIN = 30_000  # images
IMAGES = 400  # of the test, that maps are measured on
SIDE = 28
WAY = Input((SIDE, SIDE), channels=1, mean=(0.286,), std=(0.353,))
NAMES = tuple(name for name in METHODS if name not in ("Score-CAM", "RISE"))  # which take very many passes


def main() -> None:
    asked = _arguments()
    os.nice(10)
    folder = os.environ.get(VARIABLE, "")
    if not folder:
        print(f"left out: {VARIABLE} does not name the folder of Fashion-MNIST's four files")
        return
    parts = images_of(Path(folder))
    network = trained(asked.weights, asked.epochs, *(each[:TRAIN] for each in parts["train"]))
    images, labels = parts["test"]
    right = logits_of(network, images, WAY).argmax(1) == labels
    print(f"{asked.epochs} epochs of {TRAIN:,} images; {right.float().mean():.1%} of {len(images):,} test images")
    kept = right.nonzero()[:, 0][: asked.images]
    rows = measured(network, images[kept], labels[kept])
    chance = rows.pop("random")["deletion"]
    print(f"{len(kept)} of them that it names correctly; deletion in a random order {said(chance)}")
    heads = "map", *COLUMNS
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, found in rows.items():
        print(f"| {name} | {' | '.join(said(each) for each in found.values())} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path(".cache/transformer.pt"))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--images", type=int, default=IMAGES)
    return parser.parse_args()


def said(one: Estimate) -> str:
    """A mean with half of its interval's width."""
    return f"{one.mean:.3f} ± {(one.high - one.low) / 2:.3f}".replace("-", "−")


def images_of(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Images, (N, 1, 28, 28) uint8, and labels (N,) of each part."""
    found = {}
    for part, files in idx.files(folder).items():
        images, labels = (np.array(idx.array(files[kind], idx.header(files[kind]))) for kind in ("images", "labels"))
        found[part] = torch.from_numpy(images)[:, None], torch.from_numpy(labels).long()
    return found


def made() -> nn.Module:
    """The network before its training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network: nn.Module = timm.create_model(
            "vit_tiny_patch16_224",
            num_classes=10, img_size=SIDE, patch_size=4, in_chans=1, depth=4, embed_dim=64, num_heads=4,
        )  # fmt: skip
        return network


def trained(weights: Path, epochs: int, images: Tensor, labels: Tensor) -> nn.Module:
    """The network after its training, which goes on after the last epoch that is kept."""
    network = made().train()
    steps = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05)
    batches = -(-len(images) // BATCH)
    pace = torch.optim.lr_scheduler.OneCycleLR(steps, RATE, total_steps=epochs * batches)
    done = 0
    if weights.exists():
        kept = torch.load(weights, weights_only=True)
        if kept["epochs"] != epochs or kept["images"] != len(images):
            sys.exit(f"{weights}: expected the weights of {epochs} epochs of {len(images):,} images, it has others")
        network.load_state_dict(kept["states"][0])
        steps.load_state_dict(kept["states"][1])
        pace.load_state_dict(kept["states"][2])
        done = kept["done"]
    for epoch in range(done, epochs):
        begun = time.perf_counter()
        turns = torch.Generator().manual_seed(epoch)
        order = torch.randperm(len(images), generator=turns)
        for rows in torch.split(order, BATCH):
            shown = normalise(images[rows], WAY)
            loss = F.cross_entropy(
                network(shown if torch.rand((), generator=turns) < 0.5 else shown.flip(3)), labels[rows]
            )
            steps.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            steps.step()
            pace.step()
        states = network.state_dict(), steps.state_dict(), pace.state_dict()
        weights.parent.mkdir(parents=True, exist_ok=True)
        aside = weights.with_suffix(".part")
        torch.save({"epochs": epochs, "images": len(images), "done": epoch + 1, "states": states}, aside)
        aside.replace(weights)
        print(f"epoch {epoch + 1}: loss {loss:.3f}, {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return network.eval()


def measured(
    network: nn.Module, images: Tensor, labels: Tensor, names: Collection[str] = NAMES
) -> dict[str, dict[str, Estimate]]:
    """By method what its maps of the right class are worth, in the columns' order; "random" is a random order.

    Args:
        images: (N, 1, 28, 28) uint8, each of the class that the network names.
        names: of the methods that are asked, those that cannot explain the network are left out.
    """
    wrong = wrong_classes(labels, range(10), SEED)
    by_chance = copy.deepcopy(network)
    layers = [module for _, modules in cascade(network) for module in modules]
    randomise(by_chance, layers, torch.Generator().manual_seed(SEED))
    task = Task(
        network, images, WAY, labels, wrong, torch.zeros(len(images), 0, 0, dtype=torch.bool), None, STEPS, SEED
    )
    shown = task.inputs(0, len(images))
    noise = torch.rand(len(images), 7, 7, generator=torch.Generator().manual_seed(SEED))  # as large as the patches

    def left(maps: Tensor) -> NDArray[np.float64]:
        """(N,) of the class's probability on average, while the places go in a map's order."""
        places = removal_order(upsampled(maps, WAY.size), upsampled(noise, WAY.size))
        curves = exchanged_probabilities(network, shown, torch.zeros_like(shown), places, labels)
        area: NDArray[np.float64] = curve_area(curves).numpy()
        return area

    with in_eval_mode(network), in_eval_mode(by_chance):
        layer = choose_layer(network, shown[:1])
        methods, _ = suited(network, shown[:1], layer, {name: METHODS[name] for name in names})
        random = left(noise)
        found = {"random": {"deletion": estimates(random[None], SEED)[0]}}
        for name, method in methods.items():
            print(f"measuring {name}", file=sys.stderr)
            own = maps_of(task, name, method, None, labels, layer=layer)
            others = [
                maps_of(task, name, method, None, wrong, layer=layer),
                maps_of(task, name, method, None, labels, network=by_chance, layer=layer),
            ]
            reached = left(own)
            ahead = [reached, reached - random, *(reached - left(maps) for maps in others)]
            alike = [np.nan_to_num(spearman(own.flatten(1).numpy(), maps.flatten(1).numpy())) for maps in others]
            found[name] = dict(zip(COLUMNS, estimates(np.stack([*ahead, *alike]), SEED), strict=True))
    return found


if __name__ == "__main__":
    main()
