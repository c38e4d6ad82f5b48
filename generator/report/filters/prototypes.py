"""What each class looks like to a network: one figure a class, from `ClassImages`."""

from __future__ import annotations

from generator.base.names import addresses
from generator.records.figure import Figure
from generator.records.network import ClassImages, Network
from generator.report.plates.frames import SMALL, framed
from generator.report.plates.numbers import probabilities
from generator.report.plates.wording import number, percent

LARGE = 128  # an image this wide or wider is shown smooth; a smaller one enlarged, its pixels sharp
QUALITY = 80


def class_image_figures(network: Network) -> tuple[Figure, ...]:
    """One figure a class, in the order of the classes; none where no images were made."""
    made = network.class_images
    if made is None:
        return ()
    slugs = addresses(network.class_names, network.own)
    return tuple(_class(network, made, index, address) for index, address in enumerate(slugs))


def _class(network: Network, made: ClassImages, index: int, address: str) -> Figure:
    name = network.class_names[index]
    answer = int(made.logits[index].argmax())
    share = percent(float(probabilities(made.logits, network.multi_label)[index, answer]))
    said = f"{network.title} calls it {network.class_names[answer]} with {share}"
    small = max(made.images.shape[1:3]) < LARGE
    caption = f"{name}: an image made to raise this class’s logit, which is {number(float(made.logits[index, index]))}"
    return framed(
        f"{network.anchor}-class-{address}",
        made.images[index],
        alt=f"Image made to look like {name} to {network.title}: {said}.",
        caption=f"{caption}; {said}.",
        quality=SMALL if small else QUALITY,
        pixelated=small,
    )
