"""What a training is asked to do, and how strongly its images are changed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """How strongly images are changed; the default changes nothing."""

    area: float = 1.0  # smallest share of the image's area that a crop keeps
    aspect: float = 1.0  # largest aspect ratio of a crop, and its inverse the smallest
    rotation: float = 0.0  # degrees either way
    flip: bool = False
    colour: float = 0.0  # brightness, contrast and saturation vary by this factor either way
    grey: float = 0.0  # probability of losing colour
    cutmix: float = 0.0  # probability that a batch is mixed (Yun et al. 2019, arXiv:1905.04899)
    # Share of the images of which a window is cut out pixel for pixel, instead of a crop resampled: resampling blurs,
    # and a network that saw blurred images only is worse on sharp ones, by 3 to 4 points on Tiny ImageNet's. Where
    # smaller images are shown first, objects in a window are also as large as they will be later: 7 points after five
    # epochs on 32 pixels. Images that are enlarged have no windows.
    unscaled: float = 0.0


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
    widths: tuple[int, ...] = ()  # of SmallCNN's stages; (): its own
    depths: tuple[int, ...] = ()  # convolutions of SmallCNN's stages; (): its own
    dropout: float = 0.3  # SmallCNN's
    # Of the loss, the share that asks for a teacher's probabilities instead of the labels, both networks' softened
    # by `temperature` (Hinton et al. 2015, arXiv:1503.02531).
    distillation: float = 0.0
    temperature: float = 2.0
    # Photos are enlarged by this before the centre is cut out: a network that was trained on crops knows its objects a
    # little larger (Touvron et al. 2019, arXiv:1906.06423).
    enlarged: float = 1.0
    precision: str = "auto"  # "float32", "bfloat16", or "auto": whichever is faster here
    seed: int = 0

    def size(self, epoch: int) -> int:
        """Side of the images in an epoch, the first of which is 1."""
        return next(size for start, size in reversed(self.sizes) if (epoch - 1) / self.epochs >= start)

    @property
    def shown(self) -> tuple[int, int]:
        """Side of the photos that the trained network is shown, and to what they are brought before the cut."""
        size = self.sizes[-1][1]
        return size, round(self.enlarged * size)
