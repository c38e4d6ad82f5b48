"""The splits of a data set as arrays of pixels, decoded once and kept."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from generator.base.errors import InputError, reason
from generator.data.classes import Classes
from generator.data.dataset import ImageFile, Split, fingerprint
from generator.data.folder import list_folder
from generator.data.image_files import read_photo
from generator.data.preprocessing import square
from generator.data.tiny_imagenet import SIDE, list_images
from generator.records import stored

CACHE_VERSION = 1  # of what decoding means; raise it with any change there


@dataclass(frozen=True)
class ImageSet:
    """The images of one split, N of them, decoded.

    `boxes` are (x0, y0, x1, y1) in pixels, inclusive, as the data set's own files give them. `files` are names that
    `image_path` finds again. `skipped` names the broken files that were left out. `digest` is the sha256 over names and
    pixels.
    """

    images: torch.Tensor  # (N, 3, S, S) uint8
    targets: torch.Tensor  # (N,) int64
    files: tuple[str, ...]
    boxes: torch.Tensor  # (N, 4) int64
    classes: Classes
    split: str
    skipped: tuple[str, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True)
class _Decoded:
    images: torch.Tensor
    skipped: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class _Record:
    """What the cache holds beside the images."""

    skipped: tuple[str, ...]
    digest: str


def load(root: Path, classes: Classes, split: Split, cache: Path) -> ImageSet:
    """One split of a data set in Tiny ImageNet's layout; `tiny_imagenet.list_images` says how it is split.

    Args:
        root: folder with train/<wnid>/images, val/images and their annotations.
        cache: folder for the decoded images; made where it is missing.
    Raises:
        InputError: for a missing folder or file, an unreadable line of annotations, a class without a whole image, or
            a cache that cannot be written.
    """
    return _image_set(list_images(root, classes, split), classes, split, cache, SIDE)


def image_folder(root: Path, split: Split, cache: Path, size: int = SIDE) -> ImageSet:
    """One split of any folder of class folders; `tiny_imagenet.list_folder` says how it is split.

    Images are cut square to `size` pixels, and each box is the whole image.

    Raises:
        InputError: as for `load`.
    """
    classes, images = list_folder(root, split, size)
    return _image_set(images, classes, split, cache, size)


def joint_digest(sets: Iterable[ImageSet]) -> str:
    """One digest of several splits: what a model's records call the data's."""
    return hashlib.sha256(" ".join(images.digest for images in sets).encode()).hexdigest()


def _image_set(listed: Sequence[ImageFile], classes: Classes, split: Split, cache: Path, size: int) -> ImageSet:
    key = fingerprint(listed, CACHE_VERSION, split, classes.wnids, size)
    file = cache / f"{split}-{key[:32]}.safetensors"
    decoded = _read_cache(file, listed, size)
    if decoded is None:
        decoded = _decode(listed, size)
        _refuse_emptied(listed, decoded.skipped, classes, split)
        _write_cache(file, decoded)
    kept = _kept(listed, decoded.skipped)
    return ImageSet(
        images=decoded.images,
        targets=torch.tensor([image.target for image in kept], dtype=torch.int64),
        files=tuple(image.name for image in kept),
        boxes=torch.tensor([image.box for image in kept], dtype=torch.int64),
        classes=classes,
        split=split,
        skipped=decoded.skipped,
        digest=decoded.digest,
    )


def _decode(listed: Sequence[ImageFile], size: int) -> _Decoded:
    pixels = np.empty((len(listed), 3, size, size), dtype=np.uint8)
    names: list[str] = []
    skipped: list[str] = []
    for image in listed:
        try:
            cut = square(read_photo(image.path), size)
        except InputError:
            skipped.append(image.name)
        else:
            pixels[len(names)] = cut.transpose(2, 0, 1)
            names.append(image.name)
    whole = pixels[: len(names)]
    return _Decoded(torch.from_numpy(whole), tuple(skipped), _digest(names, whole))


def _kept(listed: Sequence[ImageFile], skipped: Sequence[str]) -> list[ImageFile]:
    broken = set(skipped)
    return [image for image in listed if image.name not in broken]


def _digest(names: Sequence[str], pixels: NDArray[np.uint8]) -> str:
    state = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape"))
    state.update(np.ascontiguousarray(pixels).data)
    return state.hexdigest()


def _refuse_emptied(listed: Sequence[ImageFile], skipped: Sequence[str], classes: Classes, split: Split) -> None:
    whole = {image.target for image in _kept(listed, skipped)}
    for target, wnid in enumerate(classes.wnids):
        if target not in whole:
            broken = next(image.path for image in listed if image.target == target)
            raise InputError(f"{broken}: expected whole images of {wnid}, every one in the {split} split is broken")


def _read_cache(file: Path, listed: Sequence[ImageFile], size: int) -> _Decoded | None:
    """What `_write_cache` wrote, None where it is missing or damaged."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            record = stored.decode(_Record, opened.metadata()["record"], str(file), "")
            images = opened.get_tensor("images")
    except (SafetensorError, OSError, KeyError, TypeError, InputError):
        return None
    names = [image.name for image in _kept(listed, record.skipped)]
    if images.dtype != torch.uint8 or images.shape != (len(names), 3, size, size):
        return None
    # The checksum also finds a file whose length is right and whose content is not.
    whole = _digest(names, images.numpy()) == record.digest
    return _Decoded(images, record.skipped, record.digest) if whole else None


def _write_cache(file: Path, decoded: _Decoded) -> None:
    # One entry: safetensors writes several in no fixed order.
    record = {"record": json.dumps({"skipped": decoded.skipped, "digest": decoded.digest})}
    unfinished = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=file.parent, suffix=".part")
        os.close(handle)
        save_file({"images": decoded.images}, unfinished, record)
        os.replace(unfinished, file)
    except (OSError, SafetensorError) as error:
        why = reason(error) if isinstance(error, OSError) else f"({error})"
        raise InputError(f"{file.parent}: expected room for the decoded images, cannot write there {why}") from None
    finally:
        if unfinished is not None:
            Path(unfinished).unlink(missing_ok=True)
