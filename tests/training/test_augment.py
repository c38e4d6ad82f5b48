"""Augmentation: images whose change can be read off (ramps, flat colours), and the laws of randomness."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from generator.records.recipe import Augmentation
from generator.training.augment import LUMA, augment, cutmix, jitter, resample, steps

pytestmark = pytest.mark.usefixtures("one_thread")

EVERYTHING = Augmentation(area=0.4, aspect=1.3, rotation=10, flip=True, colour=0.3, grey=0.2, cutmix=1.0)


def pixels(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(seed))


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def ramps(count: int, side: int) -> Tensor:
    """Red is the column, green the row: what the resampling did can be read from the slopes."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([columns, rows, torch.zeros(side, side)]).float().expand(count, 3, side, side)


def slopes(images: Tensor) -> Tensor:
    """(N, 2, 2): change of column and row of origin for one step right, and for one step down, in the middle."""
    middle = images.shape[-1] // 2
    right = images[:, :2, middle, middle + 1] - images[:, :2, middle, middle]
    down = images[:, :2, middle + 1, middle] - images[:, :2, middle, middle]
    return torch.stack([right, down], 2)


def test_the_default_changes_nothing() -> None:
    images = pixels(3, 3, 16, 16)

    changed, partner, own = augment(images, 16, Augmentation(), seeded())

    torch.testing.assert_close(changed, images.float(), atol=1e-3, rtol=0)
    assert partner.tolist() == [0, 1, 2]
    assert own == 1.0


def test_mirroring_alone_gives_the_image_or_its_mirror_image() -> None:
    images = pixels(32, 3, 9, 9)

    changed, _, _ = augment(images, 9, Augmentation(flip=True), seeded())

    same = (changed - images.float()).abs().amax((1, 2, 3)) < 1e-3
    mirrored = (changed - images.flip(-1).float()).abs().amax((1, 2, 3)) < 1e-3
    assert (same ^ mirrored).all()
    assert 8 <= int(mirrored.sum()) <= 24


def equals(images: Tensor, others: list[Tensor]) -> Tensor:
    """(others, N) bool: whether each image is, pixel for pixel, that of the same number in each other batch."""
    return torch.stack([(images == other).flatten(1).all(1) for other in others])


def test_unscaled_images_are_moved_by_whole_pixels_and_no_pixel_changes() -> None:
    images = pixels(40, 3, 16, 16)
    # Edges reflected: two more rows and columns on each side, 1/8 of 16.
    wide = torch.cat([images[..., :2].flip(-1), images, images[..., -2:].flip(-1)], -1).float()
    wide = torch.cat([wide[..., :2, :].flip(-2), wide, wide[..., -2:, :].flip(-2)], -2)

    changed, _, _ = augment(images, 16, Augmentation(area=0.3, flip=True, unscaled=1.0), seeded())

    windows = [wide[..., y : y + 16, x : x + 16] for y in range(5) for x in range(5)]
    equal = equals(changed, [w for each in windows for w in (each, each.flip(-1))])
    assert equal.any(0).all()
    assert equal.any(1).sum() > 15  # of all 50 moves


def test_smaller_images_are_windows_of_the_images_pixels() -> None:
    images = pixels(60, 3, 16, 16)

    changed, _, _ = augment(images, 12, Augmentation(flip=True, unscaled=1.0), seeded())

    windows = [images[..., y : y + 12, x : x + 12].float() for y in range(5) for x in range(5)]
    equal = equals(changed, [w for each in windows for w in (each, each.flip(-1))])
    assert equal.any(0).all()
    assert equal.any(1).sum() > 30  # of all 50 places


def test_windows_a_little_smaller_than_the_images_reach_over_the_edges() -> None:
    images = pixels(60, 3, 16, 16)
    # 1/8 of 15 pixels is 1.9 either way; the image has half a pixel of that, and the edges give one more.
    wide = F.pad(images.float(), (1, 1, 1, 1), mode="replicate")  # the outermost pixel reflected is itself

    changed, _, _ = augment(images, 15, Augmentation(unscaled=1.0), seeded())

    equal = equals(changed, [wide[..., y : y + 15, x : x + 15] for y in range(4) for x in range(4)])
    assert (equal.sum(0) >= 1).all()
    assert equal.any(1).all()


def test_without_flip_no_window_is_mirrored() -> None:
    ramp = torch.arange(16, dtype=torch.uint8).expand(40, 3, 16, 16)

    changed, _, _ = augment(ramp, 12, Augmentation(unscaled=1.0), seeded())

    assert (changed.diff(dim=-1) == 1).all()


@pytest.mark.parametrize(("size", "share"), [(16, 0.5), (12, 0.5), (24, 0.0)])
def test_the_asked_share_is_unscaled_where_the_images_are_large_enough(size: int, share: float) -> None:
    images = pixels(200, 3, 16, 16)

    changed, _, _ = augment(images, size, Augmentation(area=0.3, unscaled=0.5), seeded())

    whole = ((changed - changed.round()).abs() < 1e-2).all(1).all(1).all(1)
    assert float(whole.float().mean()) == pytest.approx(share, abs=0.1)


def test_crops_keep_to_the_area_and_the_aspect_ratio_asked() -> None:
    slope = slopes(resample(ramps(200, 32), 32, Augmentation(area=0.3, aspect=1.5), seeded()))
    width, height = slope[:, 0, 0], slope[:, 1, 1]

    assert slope[:, 0, 1].abs().max() < 1e-4  # neither turned
    assert slope[:, 1, 0].abs().max() < 1e-4  # nor sheared
    area, aspect = width * height, width / height
    # A crop wider than the image is cut to it, which takes at most the aspect's root from the area.
    assert 0.3 - 1e-3 <= float(area.min()) < 0.35
    assert 0.9 < float(area.max()) <= 1 + 1e-3
    assert 1 / 1.5 - 1e-3 <= float(aspect.min()) < 0.75
    assert 1.3 < float(aspect.max()) <= 1.5 + 1e-3


def test_crops_stay_inside_the_image() -> None:
    side = 32
    found = resample(ramps(200, side), side, Augmentation(area=0.3, aspect=1.5), seeded())
    slope = slopes(found)

    # Where a crop left the image, its reflection would turn the ramp round. The outermost half pixel is flat.
    across = found[:, 0, side // 2, -1] - found[:, 0, side // 2, 0]
    down = found[:, 1, -1, side // 2] - found[:, 1, 0, side // 2]
    torch.testing.assert_close(across, (side - 1) * slope[:, 0, 0], atol=1, rtol=0)
    torch.testing.assert_close(down, (side - 1) * slope[:, 1, 1], atol=1, rtol=0)
    assert float(found[:, 0].amin((1, 2)).min()) < 1  # yet they reach every edge
    assert float(found[:, 1].amax((1, 2)).max()) > side - 2


def test_rotation_turns_within_the_degrees_asked_and_keeps_lengths() -> None:
    slope = slopes(resample(ramps(200, 32), 32, Augmentation(rotation=20), seeded()))
    angle = torch.atan2(slope[:, 1, 0], slope[:, 0, 0]).rad2deg()

    identity = torch.eye(2).expand(200, 2, 2)
    torch.testing.assert_close(slope @ slope.mT, identity, atol=1e-3, rtol=0)
    assert 18 < float(angle.max()) <= 20.01
    assert -20.01 <= float(angle.min()) < -18


def test_resampling_to_half_the_size_averages_blocks_of_a_ramp() -> None:
    small = resample(ramps(1, 8), 4, Augmentation(), seeded())

    assert small[0, 0, 0].tolist() == pytest.approx([0.5, 2.5, 4.5, 6.5], abs=1e-4)


def test_grey_is_the_luma_of_bt601() -> None:
    image = torch.tensor([200.0, 100.0, 50.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)

    found = jitter(image, 0.0, 1.0, seeded())

    torch.testing.assert_close(found, torch.full((1, 3, 2, 2), 0.299 * 200 + 0.587 * 100 + 0.114 * 50))


def test_jitter_by_hand() -> None:
    """A blue and a yellow pixel, from the numbers that the seed draws."""
    image = torch.tensor([[40.0, 160.0], [60.0, 140.0], [160.0, 50.0]]).view(1, 3, 1, 2)
    brightness, contrast, saturation, _ = (1 + 0.2 * (2 * torch.rand(4, generator=seeded(2)) - 1)).tolist()

    found = jitter(image, 0.2, 0.0, seeded(2))

    lumas = 0.299 * 40 + 0.587 * 60 + 0.114 * 160, 0.299 * 160 + 0.587 * 140 + 0.114 * 50
    middle = sum(lumas) / 2
    for pixel, luma in enumerate(lumas):
        for channel in range(3):
            coloured = luma + saturation * (float(image[0, channel, 0, pixel]) - luma)
            expected = (middle + contrast * (coloured - middle)) * brightness
            assert float(found[0, channel, 0, pixel]) == pytest.approx(expected, abs=1e-3)


def test_contrast_and_saturation_keep_the_mean_luma() -> None:
    images = 100 + 50 * torch.rand(50, 3, 6, 6, generator=seeded())  # far enough from black and white
    luma = torch.tensor(LUMA).view(1, 3, 1, 1)

    found = jitter(images, 0.3, 0.2, seeded(1))

    ratio = (found * luma).sum(1).mean((1, 2)) / (images * luma).sum(1).mean((1, 2))
    brightness = 1 + 0.3 * (2 * torch.rand((4, 50), generator=seeded(1))[0] - 1)
    torch.testing.assert_close(ratio, brightness, atol=1e-4, rtol=0)


def test_no_strength_changes_no_colour() -> None:
    images = pixels(4, 3, 5, 5).float()

    torch.testing.assert_close(jitter(images, 0.0, 0.0, seeded()), images, atol=1e-3, rtol=0)


def test_of_a_flat_grey_only_the_brightness_varies_and_never_past_white() -> None:
    images = torch.full((300, 3, 2, 2), 200.0)

    found = jitter(images, 0.5, 0.0, seeded())

    assert found.std((1, 2, 3)).max() < 1e-3
    assert 100 - 1e-3 <= float(found.min()) < 105
    assert float(found.max()) == 255.0


def test_the_asked_share_of_images_loses_its_colour() -> None:
    images = torch.tensor([200.0, 100.0, 50.0]).view(1, 3, 1, 1).expand(1000, 3, 1, 1)

    found = jitter(images, 0.0, 0.3, seeded())

    assert float(((found.amax(1) - found.amin(1)) < 1e-3).float().mean()) == pytest.approx(0.3, abs=0.05)


def test_cutmix_tells_the_exact_share_and_the_right_partner() -> None:
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 7, 9)
    shares = []
    for seed in range(40):
        mixed, partner, own = cutmix(images, seeded(seed))
        for index, other in enumerate(partner.tolist()):
            if other != index:
                assert float((mixed[index] == index).float().mean()) == pytest.approx(own, abs=1e-6)
                assert float((mixed[index] == other).float().mean()) == pytest.approx(1 - own, abs=1e-6)
        assert sorted(partner.tolist()) == [0, 1, 2, 3, 4]
        shares.append(own)

    assert min(shares) < 0.3
    assert max(shares) > 0.9


def test_cutmix_takes_one_rectangle_from_the_same_place() -> None:
    images = pixels(4, 3, 8, 8).float()

    mixed, partner, _ = cutmix(images, seeded(3))

    taken = (mixed != images).any(1).any(0)
    rows, columns = taken.any(1), taken.any(0)
    assert torch.equal(taken, rows[:, None] & columns[None])  # every image lends and takes the same rectangle
    assert torch.equal(mixed, torch.where(taken, images[partner], images))


def test_cutmix_mixes_the_asked_share_of_batches() -> None:
    images, generator = pixels(2, 3, 4, 4), seeded()

    mixed = [augment(images, 4, Augmentation(cutmix=0.3), generator)[2] < 1 for _ in range(300)]

    assert sum(mixed) / 300 == pytest.approx(0.3 * (1 - 1 / 16), abs=0.07)  # a rectangle may round to nothing


def test_everything_at_once_follows_the_seed_alone_and_stays_in_range() -> None:
    images = pixels(8, 3, 16, 16)
    before = images.clone()
    state = torch.get_rng_state()

    first, second, other = (augment(images, 12, EVERYTHING, seeded(seed)) for seed in (1, 1, 2))

    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert first[2] == second[2]
    assert not torch.equal(first[0], other[0])
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert first[0].shape == (8, 3, 12, 12)
    assert first[0].dtype == torch.float32
    assert float(first[0].min()) >= 0
    assert float(first[0].max()) <= 255


def test_the_steps_are_named_and_begin_with_the_original() -> None:
    image, partner = pixels(3, 16, 16), pixels(3, 16, 16, seed=1)

    shown = dict(steps(image, partner, EVERYTHING, seeded()))

    assert list(shown) == [
        "original",
        "cropped, turned, mirrored",
        "brightness, contrast, saturation",
        "a rectangle of another image (CutMix)",
    ]
    assert torch.equal(shown["original"], image)
    assert {(step.dtype, tuple(step.shape)) for step in shown.values()} == {(torch.uint8, (3, 16, 16))}
    coloured, mixed = shown["brightness, contrast, saturation"], shown["a rectangle of another image (CutMix)"]
    assert torch.equal(mixed[:, :8], coloured[:, :8])
    assert torch.equal(mixed[:, :, :8], coloured[:, :, :8])


def test_the_last_step_shows_a_quarter_of_the_partner() -> None:
    image, partner = pixels(3, 8, 8), pixels(3, 8, 8, seed=1)

    mixed = steps(image, partner, Augmentation(cutmix=1.0), seeded())[-1][1]

    expected = image.clone()
    expected[:, 4:, 4:] = partner[:, 4:, 4:]
    assert torch.equal(mixed, expected)


def test_without_cutmix_there_are_three_steps_and_no_partner() -> None:
    image = pixels(3, 8, 8)

    shown = steps(image, pixels(3, 8, 8, seed=1), Augmentation(), seeded())

    assert len(shown) == 3
    assert all(torch.equal(step, image) for _, step in shown)


def test_a_window_is_shown_beside_the_crop_that_the_other_steps_go_on_from() -> None:
    image = pixels(3, 16, 16)
    how = Augmentation(area=0.4, unscaled=0.5)

    shown = steps(image, pixels(3, 16, 16, seed=1), how, seeded())

    assert [name for name, _ in shown][1:3] == ["cropped, turned, mirrored", "or shifted and mirrored, not resized"]
    (_, crop), (_, window), (_, coloured) = shown[1:]
    assert torch.equal(coloured, crop)
    # A window of the photo's own size is moved by two pixels at most, its border continued by reflection.
    row, column = (slice(2, 14),) * 2
    inner = window[:, row, column]
    assert any(torch.equal(inner, image[:, 2 + y : 14 + y, 2 + x : 14 + x]) for y in range(-2, 3) for x in range(-2, 3))
    assert not torch.equal(crop, image)


def test_luma_of_white_is_white() -> None:
    assert math.fsum(LUMA) == pytest.approx(1)
