"""What a row of a torch Dataset holds, without torch: an image of any kind as pixels, and its label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.base.errors import InputError
from generator.data.image_files import from_pillow
from generator.data.steps import PLAIN, Normalisation, innermost
from generator.records.images import MAX_ASPECT, MAX_PIXELS, Counts, Pixels

# In rows that are dicts, as Hugging Face's are; what a network is given goes before what it is made of.
IMAGE, LABEL = ("pixel_values", "image", "img"), ("label", "labels", "target")
SLACK = 1 / 255  # by which resampling may leave 0 to 1, or an inverse its integers


def class_names(dataset: Any) -> tuple[str, ...]:
    """The names that a data set has for its labels, () for none; of several for one the first."""
    inner = innermost(dataset)
    places = getattr(inner, "class_to_idx", None)
    if isinstance(places, Mapping) and sorted(places.values(), key=str) == sorted(range(len(places)), key=str):
        return tuple(str(name) for name in sorted(places, key=places.__getitem__))
    names = getattr(inner, "classes", None)
    if names is None and isinstance(features := getattr(inner, "features", None), Mapping):
        names = next((getattr(features[each], "names", None) for each in LABEL if each in features), None)
    if isinstance(names, (str, bytes)) or not isinstance(names, Sequence):
        return ()
    return tuple(str(name[0] if isinstance(name, (list, tuple)) and name else name) for name in names)


def targets(dataset: Any) -> Counts | None:
    """(N,) the labels as a data set lists them, without reading an image; None where it does not."""
    inner, indices = getattr(dataset, "dataset", None), getattr(dataset, "indices", None)
    if inner is not None and indices is not None:
        whole = targets(inner)
        return None if whole is None else whole[np.asarray(list(indices), np.int64)]
    several = getattr(dataset, "datasets", None)
    if isinstance(several, (list, tuple)):
        every = [targets(each) for each in several]
        known = [each for each in every if each is not None]
        return np.concatenate(known) if len(known) == len(every) else None
    if getattr(dataset, "target_transform", None) is not None:
        return None
    listed = getattr(dataset, "targets", None)
    if listed is None or isinstance(listed, (str, bytes)):
        return None
    found = plain(listed)
    if found.ndim != 1 or found.dtype.kind not in "iu" or len(found) != len(dataset):
        return None
    return found.astype(np.int64)


def parted(row: Any, what: str) -> tuple[Any, int]:
    """The image and the label of a row.

    Raises:
        InputError: where it has not both, or the label is no whole number.
    """
    if isinstance(row, Mapping):
        image, label = (next((row[key] for key in keys if key in row), None) for keys in (IMAGE, LABEL))
    elif isinstance(row, (tuple, list)) and len(row) >= 2:
        image, label = row[0], row[1]
    else:
        image = label = None
    if image is None or label is None:
        raise InputError(f"{what}: expected an image and its label, it gives {_kind(row)}")
    number = plain(label)
    if number.dtype.kind not in "iuf" or number.size < 1 or number.ndim > 1:
        raise InputError(f"{what}: expected a whole number for its class, it gives {_kind(label)}")
    if number.size > 1:
        if sorted(number.tolist()) != [0] * (number.size - 1) + [1]:
            raise InputError(f"{what}: expected one class, or a 1 among zeros in its place, it gives {_kind(label)}")
        return image, int(number.argmax())
    value = number.reshape(()).item()
    if not np.isfinite(value) or value != int(value):
        raise InputError(f"{what}: expected a whole number for its class, it gives {value!r}")
    return image, int(value)


def pixels(image: Any, back: Normalisation | None, what: str) -> Pixels:
    """An image as bytes in colour, (H, W, 3).

    Args:
        image: Pillow's; a tensor (C, H, W) or (H, W); or an array (H, W, C), (H, W) or (C, H, W): of bytes, of truth
            values, or of floats from 0 to 1.
        back: the Normalize that is taken back.
    Raises:
        InputError: for anything else, and for values that lie elsewhere.
    """
    if hasattr(image, "getbands") and hasattr(image, "convert"):
        return from_pillow(image, what)
    values = by_channel(image, what)
    channels, height, width = values.shape
    if channels not in (1, 3):
        raise InputError(
            f"{what}: expected 1 or 3 channels, got {channels} ({_kind(image)}); give it in grey or colour"
        )
    if not height * width or height * width > MAX_PIXELS or max(height, width) > MAX_ASPECT * min(height, width):
        limit = f"{MAX_PIXELS // 1_000_000} million pixels and sides of at most {MAX_ASPECT} to 1"
        raise InputError(f"{what}: expected at most {limit}, got {width} x {height}")
    colour: Pixels = np.broadcast_to(_bytes(values, back, what), (3, height, width))
    return np.ascontiguousarray(colour.transpose(1, 2, 0))


def by_channel(image: Any, what: str) -> NDArray[Any]:
    """A tensor or an array as (C, H, W): from (H, W), (C, H, W) or, of an array that is no tensor, (H, W, C).

    Raises:
        InputError: for anything else.
    """
    values = plain(image)
    if values.dtype.kind not in "ubif" or values.ndim not in (2, 3):
        raise InputError(f"{what}: expected a picture, a tensor or an array, it gives {_kind(image)}")
    if values.ndim == 2:
        return values[None]
    last = values.shape[2] in (1, 3) or values.shape[0] not in (1, 3)
    return values if hasattr(image, "detach") or not last else values.transpose(2, 0, 1)


def plain(value: Any) -> NDArray[Any]:
    """A tensor, or anything like it, as an array."""
    value = _on_cpu(value)
    return np.asarray(value.float() if str(getattr(value, "dtype", "")) == "torch.bfloat16" else value)


def _bytes(values: NDArray[Any], back: Normalisation | None, what: str) -> NDArray[np.uint8]:
    """Values of any kind, (C, H, W), as bytes."""
    if values.dtype == np.bool_:
        values = np.where(values, np.uint8(255), np.uint8(0))
    if values.dtype == np.uint8 and back is None:
        return np.asarray(values, np.uint8)
    if values.dtype.kind != "f":
        raise InputError(f"{what}: expected bytes or floats from 0 to 1, got {values.dtype.name}; give it as uint8")
    floats = values.astype(np.float64)
    if back is not None:
        mean, std = (np.array(each).reshape(-1, 1, 1) for each in back)
        if len(mean) not in (1, len(floats)):
            raise InputError(f"{what}: expected a Normalize of {len(floats)} channels, it has {len(mean)}")
        floats = floats * std + mean
    low, high = float(floats.min()), float(floats.max())
    if not np.isfinite([low, high]).all():
        raise InputError(f"{what}: expected finite values, got others")
    if low < -SLACK or high > 1 + SLACK:
        mend = f"are they normalised? {PLAIN}" if low < 0 else "divide them by 255"
        raise InputError(f"{what}: expected bytes or floats from 0 to 1, got {low:.3g} to {high:.3g}; {mend}")
    return np.round(floats.clip(0, 1) * 255).astype(np.uint8)


def _on_cpu(value: Any) -> Any:
    """A tensor as numpy can read it."""
    for step in ("detach", "cpu"):
        value = getattr(value, step)() if hasattr(value, step) else value
    return value


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    return kind if shape is None else f"{kind} of {' by '.join(map(str, shape)) or 'one number'}"
