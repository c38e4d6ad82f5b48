"""Augmentations that several architectures' presets share.

The values start from airbench (Jordan 2024, arXiv:2404.00498) and were chosen on the validation split.
"""

from __future__ import annotations

from dataclasses import replace

from generator.records.recipe import Augmentation

# CutMix to the end: without it in the last epochs a network learns the training images by heart (99 % of them were
# right, and validation rose by 2 points only).
STRONG = Augmentation(area=0.35, aspect=1.3, rotation=5, flip=True, colour=0.3, grey=0.1, cutmix=0.5)
# Every second photo as sharp as those that are shown later.
STRONGEST = replace(STRONG, area=0.25, rotation=10, cutmix=0.8, unscaled=0.5)
LARGER = Augmentation(area=0.55, aspect=1.2, flip=True, colour=0.2, grey=0.05, cutmix=0.5)
SHARP = replace(LARGER, unscaled=0.5)
USUAL = Augmentation(area=0.4, aspect=1.25, flip=True, colour=0.2, grey=0.1)
MILD = Augmentation(area=0.7, aspect=1.15, flip=True, colour=0.1)
