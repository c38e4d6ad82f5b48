"""Weights made small enough for git: pruned linear layers as 4-bit codes, kernels as 8-bit integers, all under LZMA.

Han et al. 2016, Deep Compression (arXiv:1510.00149), without its fine-tuning of the codebook: training has already
pruned (`Recipe.prune`). `encode` and `decode` are inverse to each other up to the rounding of the values.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]

CODES = 16  # of 4 bits; code 0 is an exact zero
LARGE = 1_000_000  # linear layers with more weights are coded in 4 bits
ROUNDS = 30  # of Lloyd's algorithm
UNPACKED = 1 << 28  # bytes that a file may unpack to; AlexNet's has 3e7
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0, "dict_size": 1 << 20}]


def encode(weights: Mapping[str, Tensor]) -> Weights:
    """Tensors by name -> small tensors by name and part.

    Matrices of more than LARGE weights become "name|codes" (uint8, two 4-bit codes a byte), "name|codebook" (16
    float16) and "name|shape"; other matrices and kernels "name|int8" with a float32 scale a row, "name|scale"; the rest
    float16.
    """
    parts: Weights = {}
    for name, tensor in weights.items():
        if tensor.ndim == 2 and tensor.numel() > LARGE:
            codes, codebook = _coded(tensor.float())
            packed = F.pad(codes, (0, len(codes) % 2)).view(-1, 2)
            parts[f"{name}|codes"] = packed[:, 0] * CODES + packed[:, 1]
            parts[f"{name}|codebook"] = codebook.half()
            parts[f"{name}|shape"] = torch.tensor(tensor.shape)
        elif tensor.ndim >= 2:
            scale = tensor.flatten(1).abs().amax(1).clamp(min=1e-12) / 127
            rows = (len(tensor),) + (1,) * (tensor.ndim - 1)
            parts[f"{name}|int8"] = (tensor / scale.view(rows)).round().to(torch.int8)
            parts[f"{name}|scale"] = scale
        else:
            parts[name] = tensor.half() if tensor.is_floating_point() else tensor
    return parts


def decode(parts: Mapping[str, Tensor]) -> Weights:
    """The float32 tensors that `encode` made small."""
    weights: Weights = {}
    for key, part in parts.items():
        name, _, kind = key.partition("|")
        if kind == "codes":
            book = parts[f"{name}|codebook"].float()
            # One look-up a byte: a table of the 256 pairs.
            pairs = torch.stack([book.repeat_interleave(CODES), book.repeat(CODES)], 1)
            shape = torch.Size(parts[f"{name}|shape"].tolist())
            weights[name] = pairs[part.int()].flatten()[: shape.numel()].view(shape)
        elif kind == "int8":
            rows = (len(part),) + (1,) * (part.ndim - 1)
            weights[name] = part.float() * parts[f"{name}|scale"].view(rows)
        elif not kind:
            weights[name] = part.float() if part.is_floating_point() else part
    return weights


def squeeze(content: bytes) -> bytes:
    """LZMA with settings for bytes without structure beyond their frequencies."""
    return lzma.compress(content, lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=FILTERS)


def stretch(content: bytes, largest: int = UNPACKED) -> bytes:
    """The inverse of `squeeze`; raises lzma.LZMAError or EOFError for a damaged or cut-off stream.

    Args:
        largest: so many bytes it may have; a stream that unpacks to more counts as damaged.
    """
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    unpacked = stream.decompress(content, largest)
    if not stream.eof:
        if len(unpacked) >= largest:
            raise lzma.LZMAError(f"it unpacks to more than {largest:,} bytes")
        raise EOFError("it is cut short")
    return unpacked


def _coded(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (uint8, flat) and the codebook (16,): zero and 15 values, exactly the matrix's own where it has no more."""
    flat = matrix.flatten()
    kept = flat[flat != 0]
    book = torch.unique(kept)
    if len(book) >= CODES:
        book = _levels(kept)
    codes = torch.bucketize(flat, (book[1:] + book[:-1]) / 2).to(torch.uint8) + 1
    codes[flat == 0] = 0
    return codes, F.pad(book, (1, CODES - 1 - len(book)))


def _levels(kept: Tensor) -> Tensor:
    """The 15 values, ascending, that Lloyd's algorithm finds for many, in one dimension."""
    # Quantiles would crowd around zero; an even grid starts from the values that matter (Han et al., section 3.2).
    book = torch.linspace(float(kept.min()), float(kept.max()), CODES - 1)
    for _ in range(ROUNDS):
        nearest = torch.bucketize(kept, (book[1:] + book[:-1]) / 2)
        sums = torch.zeros_like(book).index_add_(0, nearest, kept)
        counts = torch.bincount(nearest, minlength=CODES - 1)
        book = torch.where(counts > 0, sums / counts.clamp(min=1), book)
    return book
