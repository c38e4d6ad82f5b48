"""How the report's networks are trained: the presets of `train`, by model and name.

The values start from airbench (Jordan 2024, arXiv:2404.00498) and were chosen on the validation split.
"""

from __future__ import annotations

from dataclasses import replace

from generator.training.augment import Augmentation
from generator.training.recipe import Recipe

# CutMix to the end: without it in the last epochs a network learns the training images by heart (99 % of them were
# right, and validation rose by 2 points only).
STRONG = Augmentation(area=0.35, aspect=1.3, rotation=5, flip=True, colour=0.3, grey=0.1, cutmix=0.5)
# Every second photo as sharp as those that are shown later.
STRONGEST = replace(STRONG, area=0.25, rotation=10, cutmix=0.8, unscaled=0.5)
LARGER = Augmentation(area=0.55, aspect=1.2, flip=True, colour=0.2, grey=0.05, cutmix=0.5)
SHARP = replace(LARGER, unscaled=0.5)
USUAL = Augmentation(area=0.4, aspect=1.25, flip=True, colour=0.2, grey=0.1)
MILD = Augmentation(area=0.7, aspect=1.15, flip=True, colour=0.1)

PRESETS: dict[str, dict[str, Recipe]] = {
    "cnn": {
        # Half as wide, one convolution a stage, on small photos. In a run this short each further layer costs more
        # than it brings: with the usual seven the same seconds end 5 points lower, and a learning rate of 8e-3 with
        # batches of 128 costs as much again.
        "quick": Recipe(
            epochs=4,
            widths=(24, 48, 96, 192),
            depths=(1, 1, 1, 1),
            augmentation=Augmentation(area=0.7, flip=True),
            sizes=((0, 24), (0.5, 32)),
            batch=64,
            learning_rate=4e-3,
            average=0.99,
            smoothing=0.05,
            dropout=0.0,
        ),
        # 73.5 % of the validation images. One convolution a stage: with a second one in the last stage, and as many
        # epochs fewer, the same seconds end alike; two in three stages and batches of 128 end two points lower.
        "default": Recipe(
            epochs=26,
            widths=(32, 64, 128, 288),
            depths=(1, 1, 1, 1),
            augmentation=Augmentation(
                area=0.4, aspect=1.25, flip=True, colour=0.2, grey=0.05, cutmix=0.2, unscaled=0.5
            ),
            mild=Augmentation(area=0.6, aspect=1.15, flip=True, colour=0.1, unscaled=0.5),
            tail=0.25,
            sizes=((0, 32), (0.3, 48), (0.6, 64)),
            batch=64,
            learning_rate=4e-3,
            average=0.995,
            dropout=0.0,
        ),
        # 79.3 % of the validation images; `distilled` goes on from there. With windows at every size, CutMix in 70 % of
        # the batches, twice the weight decay and shortcuts that are folded away at the end (RepVGG): 78.3 %.
        "best": Recipe(
            epochs=110,
            augmentation=STRONG,
            mild=SHARP,
            tail=0.2,
            sizes=((0, 32), (0.2, 48), (0.8, 64)),
            warm_up=0.1,
        ),
        # From weights of "best", by the answers of several networks that "best" trained: `--from` and `--teacher`.
        # Teachers say what is left in the picture after a small crop or CutMix, so that both can be stronger.
        "distilled": Recipe(
            epochs=36,
            augmentation=STRONGEST,
            mild=SHARP,
            tail=0.15,
            sizes=((0, 64),),
            learning_rate=2e-3,
            weight_decay=0.1,
            warm_up=0.08,
            distillation=0.8,
        ),
        "one batch": Recipe(
            epochs=60, limit=128, learning_rate=3e-3, smoothing=0, weight_decay=0, average=0, sizes=((0, 64),)
        ),
        "without augmentation": Recipe(epochs=14, sizes=((0, 48),), smoothing=0, average=0.99),
    },
    "alexnet": {
        "default": Recipe(
            epochs=14,
            augmentation=USUAL,
            mild=MILD,
            tail=0.2,
            sizes=((0, 96), (0.7, 128)),
            learning_rate=6e-4,
            betas=(0.9, 0.99),
            average=0.99,
            prune=0.75,
            enlarged=9 / 8,
        ),
        "best": Recipe(
            epochs=80,
            augmentation=STRONG,
            mild=LARGER,
            tail=0.15,
            sizes=((0, 96), (0.7, 128)),
            learning_rate=8e-4,
            betas=(0.9, 0.99),
            weight_decay=0.1,
            warm_up=0.08,
            prune=0.75,
            enlarged=9 / 8,
        ),
        # From the weights of "best", by SmallCNN's answers.
        "distilled": Recipe(
            epochs=16,
            augmentation=STRONG,
            mild=LARGER,
            tail=0.2,
            sizes=((0, 96), (0.4, 128)),
            learning_rate=4e-4,
            betas=(0.9, 0.99),
            weight_decay=0.1,
            warm_up=0.08,
            smoothing=0.0,
            prune=0.75,
            enlarged=9 / 8,
            distillation=0.8,
        ),
    },
}
