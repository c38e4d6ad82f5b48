"""How a network takes an image: the one record that knows its size, its crop, its channels and its statistics.

It has three faces that are tested to be equal: `data.preprocessing.seen` (numpy and Pillow, any image),
`networks.inputs` (PyTorch, whole batches), and the script of the page that runs a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from generator.records.ranges import Channels, Deviation, Scale, Side

Crop = Literal["centre", "squash", "none"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
ChannelOrder = Literal["rgb", "bgr"]

# ImageNet's statistics, which torchvision's weights expect; Tiny ImageNet's own differ by less than 0.03.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def grey(values: tuple[float, ...]) -> tuple[float]:
    """The mean or the std of grey images where those of red, green and blue are known: their average.

    Of ImageNet's that is the 0.449 and 0.226 by which grey images are often normalised.
    """
    return (sum(values) / len(values),)


def in_pixels(size: tuple[int, int]) -> str:
    """A size (H, W) in words, which say the order of a network's sizes where it matters: data sets have the other."""
    high, wide = size
    return f"{high} × {wide} pixels" + (" (height × width)" if high != wide else "")


@dataclass(frozen=True)
class Input:
    """What happens to an image before a network sees it.

    First it gets `channels` (1: grey by ITU-R 601 luma, as Pillow's "L"), then its size. With `crop` "centre" it is
    brought to `resize` and the middle of `size` is cut out, as torchvision's Resize and CenterCrop do, which lay black
    around what is too small for that. With "squash", a word of timm's, it is brought to `resize` and as much more as
    `size` is longer, whatever its own shape, and the middle cut out; with "none" it is brought to `size` at once. Its
    values from 0 to 255 are brought to 0 to `range`; then the mean is taken off and the rest divided by the standard
    deviation.
    """

    size: tuple[Side, Side]  # (H, W) in pixels
    resize: int = 0  # the shorter side before the cut; 0: as small as `size` allows
    crop: Crop = "centre"
    interpolation: Interpolation = "bilinear"
    channels: Channels = 3
    mean: tuple[float, ...] = MEAN
    std: tuple[Deviation, ...] = STD
    range: Scale = 1.0  # of the values before mean and std: 1 or 255
    order: ChannelOrder = "rgb"  # of three channels, as the network takes them; "bgr" as OpenCV reads files

    @property
    def takes_photos(self) -> bool:
        """Whether a photo can be brought to its channels: in colour, or in grey."""
        return self.channels in (1, 3)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image, as a network takes it."""
        return (self.channels, *self.size)

    @property
    def neutral(self) -> tuple[int, ...]:
        """A byte a channel, red first: the colour that stands for "nothing", the mean's; black or white beyond it."""
        mean = self.mean[::-1] if self.order == "bgr" else self.mean
        return tuple(min(max(round(value * 255 / self.range), 0), 255) for value in mean)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) to which an image is brought before the cut.

        torchvision truncates the longer side (transforms/functional.py, _compute_resized_output_size).
        """
        if self.crop == "none":
            return self.size
        if self.crop == "squash":
            high, wide = self.size
            side = self.resize or min(high, wide)
            return high * side // min(high, wide), wide * side // min(high, wide)
        if self.resize:
            shorter = self.resize
        else:  # as small as can be cut from, in both directions
            wide = self.size[1] * height > self.size[0] * width
            shorter = (
                (self.size[1] if wide else -(-self.size[0] * width // height))
                if width <= height
                else (-(-self.size[1] * height // width) if wide else self.size[0])
            )
        if width <= height:
            return int(shorter * height / width), shorter
        return shorter, int(shorter * width / height)

    def cut(self, height: int, width: int) -> tuple[int, int]:
        """(top, left) of the cut within an image of that size, as torchvision's CenterCrop; below 0: see `margins`."""
        return _start(height, self.size[0]), _start(width, self.size[1])

    def margins(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """((above, below), (left, right)): the black laid around an image of that size that is smaller than the cut."""
        (above, left), (high, wide) = self.cut(height, width), self.size
        return (max(0, -above), max(0, above + high - height)), (max(0, -left), max(0, left + wide - width))


# Of a network of which only the answers are known: it takes nothing, and no page speaks of its size.
UNKNOWN = Input((1, 1), crop="none", channels=0, mean=(), std=())


def _start(side: int, size: int) -> int:
    return round((side - size) / 2) if side >= size else -((size - side) // 2)


def square(side: int, resize: int = 0, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> Input:
    """The input of the program's own networks: a square in colour, by default with ImageNet's statistics."""
    return Input((side, side), 0 if resize == side else resize, mean=mean, std=std)
