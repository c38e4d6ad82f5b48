"""Figures of networks that take photos otherwise than as a square in colour."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from generator.records.figure import Figure
from generator.records.images import Floats, Pixels
from generator.records.input import Input
from generator.records.network import StageMaps
from generator.records.report import Report
from generator.report.data.facts import Cut, cuts
from generator.report.overview import choices
from generator.report.plates.painting import painted_kernels
from tests import synthetic


def decoded(figure: Figure) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(figure.files[figure.src])).convert("RGBA"))


def by_id(figures: tuple[Figure, ...]) -> dict[str, Figure]:
    return {figure.id: figure for figure in figures}


def of_input(way: Input, seen: Pixels, maps: Floats) -> Report:
    """A report of one network that takes images in this way, and saw these pixels."""
    photos = (synthetic.photo("bee", 0, "A bee"),)
    one = synthetic.network("cnn", "Net", photos)
    made = synthetic.report(networks=(one,), photos=photos)
    stages = (StageMaps("features.conv1", "stage 1", maps),)
    shown = {key: replace(each, seen=seen, stages=stages) for key, each in one.explanations.items()}
    return replace(made, networks=(replace(one, input=way, explanations=shown),))


def test_of_a_wide_input_the_header_shows_all_and_its_maps_in_proportion() -> None:
    seen = np.full((10, 40, 3), 200, np.uint8)
    seen[:, :10] = [250, 0, 0]
    seen[:, 30:] = [0, 0, 250]
    maps = np.ones((16, 5, 20), np.float32)
    found = by_id(choices.choice_figures(of_input(Input((10, 40)), seen, maps)))
    photo = decoded(found["hero-photo"])
    assert photo.shape == (360, 360, 4)
    shown = photo[..., 3] > 0
    assert (np.flatnonzero(shown.any(1)).min(), np.flatnonzero(shown.any(1)).max()) == (135, 224)  # 90 of 360 rows
    assert shown[150].all()
    assert np.abs(photo[180, 5, :3].astype(int) - [250, 0, 0]).max() < 12  # from end to end
    assert np.abs(photo[180, 355, :3].astype(int) - [0, 0, 250]).max() < 12
    # Pixel by pixel: no pixel between red and grey, ten pixels from the left of forty.
    assert np.abs(photo[180, 84, :3].astype(int) - [250, 0, 0]).max() < 40
    assert np.abs(photo[180, 96, :3].astype(int) - [200, 200, 200]).max() < 40
    # Maps of 1 : 4 stand two by eight, each 1 : 4.
    tiles = decoded(found["hero-maps"])[..., 3] > 0
    assert (np.diff(tiles[5].astype(int)) == -1).sum() == 1
    assert (np.diff(tiles[:, 5].astype(int)) == -1).sum() == 7
    assert "16 feature maps" in found["hero-maps"].alt


def test_of_a_grey_input_the_header_shows_what_the_network_saw() -> None:
    grey = np.repeat(np.arange(28 * 28).reshape(28, 28, 1) // 4, 3, axis=2).astype(np.uint8)
    way = Input((28, 28), channels=1, mean=(0.5,), std=(0.5,))
    found = by_id(choices.choice_figures(of_input(way, grey, np.ones((4, 7, 7), np.float32))))
    photo = decoded(found["hero-photo"]).astype(int)
    assert np.ptp(photo[..., :3], axis=2).max() <= 4
    # Four maps stand two by two and fill the cell, as no more are there.
    tiles = decoded(found["hero-maps"])[..., 3] > 0
    assert (np.diff(tiles[5].astype(int)) == -1).sum() == 1
    assert tiles[-1].any()


def test_kernels_of_a_network_that_takes_blue_first_have_their_colours() -> None:
    weights = np.zeros((1, 3, 1, 1), np.float32)
    weights[0, 0] = 1
    plain, turned = Input((8, 8)), Input((8, 8), order="bgr")
    assert painted_kernels(weights, 1, plain)[0, 0, 0].tolist() == [255, 128, 128]
    assert painted_kernels(weights, 1, turned)[0, 0, 0].tolist() == [128, 128, 255]


def test_what_is_cut_off_a_photo_is_marked() -> None:
    photo = replace(synthetic.photo("p", 0), pixels=np.zeros((300, 500, 3), np.uint8))
    square, whole, wide = Input((64, 64)), Input((64, 64), crop="none"), Input((48, 192))
    found = cuts([photo], [square, whole, square])["p"]  # 106 x 64: columns 21 to 84, 500 / 106 pixels each
    assert found == (Cut(500, 300, "M0 0H500V300H0zM99 0H401V300H99z", "M99 0H401V300H99z"),)
    # 500 x 300 to 193 x 116, 192 of 193 columns and rows 34 to 81 are left; 500 / 193 and 300 / 116 pixels each.
    (one,) = cuts([photo], [wide])["p"]
    assert one.edge == "M0 88H497V212H0z"
    assert cuts([photo], [Input((64, 64), 30)])["p"] == ()  # all of it, in black
