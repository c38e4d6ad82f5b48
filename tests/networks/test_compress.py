"""Small weights: what is exact, how large the rounding is where it is not, and what a damaged stream does."""

from __future__ import annotations

import lzma
import math

import pytest
import torch
from torch import Tensor

from generator.networks import compress
from generator.networks.compress import CODES, LARGE, decode, encode, squeeze, stretch

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 101  # 101 x 101 weights are an odd number, so that the last byte holds one code only


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices of SIDE x SIDE count as large: the same code in a hundredth of the time."""
    monkeypatch.setattr(compress, "LARGE", SIDE**2 - 1)


def pruned() -> Tensor:
    """A large matrix with nine zeros in ten."""
    matrix = draws(SIDE, SIDE)
    return torch.where(matrix.abs() > 1.645, matrix, torch.zeros(()))


def test_int8_by_hand() -> None:
    kernel = torch.tensor([[127.0, -63.4, 0.0], [0.0, 0.0, 0.0], [2.54, 0.03, -0.011]])

    parts = encode({"w": kernel})

    assert sorted(parts) == ["w|int8", "w|scale"]
    assert parts["w|int8"].tolist() == [[127, -63, 0], [0, 0, 0], [127, 2, -1]]  # 0.03 is 1.5 scales: to the even 2
    assert parts["w|scale"].tolist() == pytest.approx([1.0, 1e-12 / 127, 0.02])


@pytest.mark.parametrize("shape", [(20, 30), (8, 3, 3, 3), (1, 5), (4, 6, 2)])
def test_int8_is_right_to_half_a_step_and_zeros_stay_zero(shape: tuple[int, ...]) -> None:
    kernel = draws(*shape)
    kernel[0].view(-1)[::3] = 0

    parts = encode({"w": kernel})
    found = decode(parts)["w"]

    step = parts["w|scale"].view(-1, *[1] * (kernel.ndim - 1))
    assert found.shape == kernel.shape
    assert found.dtype == torch.float32
    assert ((found - kernel).abs() <= step / 2 * (1 + 1e-5)).all()
    assert (found[kernel == 0] == 0).all()


@pytest.mark.usefixtures("low_limit")
@pytest.mark.parametrize("count", [1, 2, 15])
def test_fifteen_values_and_zero_come_back_exactly_however_they_lie(count: int) -> None:
    values = torch.cat([torch.zeros(1), draws(count).half().float() ** 5]).half().float()
    matrix = values[torch.randint(len(values), (SIDE, SIDE), generator=torch.Generator().manual_seed(0))]

    found = decode(encode({"w": matrix}))["w"]

    assert len(torch.unique(matrix)) == count + 1
    assert torch.equal(found, matrix)


@pytest.mark.usefixtures("low_limit")
def test_sixteen_values_share_fifteen_levels() -> None:
    """By hand: on an even grid of 15 from 1 to 16 the two in the middle, 8 and 9, fall to one level."""
    matrix = torch.arange(1.0, 17).repeat(SIDE * SIDE // 16 + 1)[: SIDE * SIDE].view(SIDE, SIDE)

    found = decode(encode({"w": matrix}))["w"]

    joined = (matrix == 8) | (matrix == 9)
    assert torch.equal(found[~joined], matrix[~joined])
    torch.testing.assert_close(found[joined], torch.full_like(found[joined], 8.5), atol=0.01, rtol=0)


def test_codes_are_packed_in_pairs_with_zero_as_code_zero() -> None:
    matrix = torch.full((1000, 1002), 0.5)
    matrix[0, 0] = 0.0
    matrix[-1, -1] = -0.25

    parts = encode({"w": matrix})

    codes, book = parts["w|codes"], parts["w|codebook"]
    assert sorted(parts) == ["w|codebook", "w|codes", "w|shape"]
    assert len(codes) == 1000 * 1002 // 2
    assert codes[[0, 1, -1]].tolist() == [0 * CODES + 2, 2 * CODES + 2, 2 * CODES + 1]
    assert book.tolist() == [0.0, -0.25, 0.5, *[0.0] * 13]
    assert parts["w|shape"].tolist() == [1000, 1002]


@pytest.mark.usefixtures("low_limit")
def test_pruned_weights_stay_pruned_and_the_others_near() -> None:
    matrix = pruned()

    found = decode(encode({"w": matrix}))["w"]

    assert found.shape == (SIDE, SIDE)
    assert torch.equal(found == 0, matrix == 0)
    error = (found - matrix)[matrix != 0]
    even = float(matrix.max() - matrix.min()) / 14 / math.sqrt(12)  # the error of 15 even levels
    assert float(error.square().mean().sqrt()) < 0.7 * even
    assert float(error.mean()) == pytest.approx(0, abs=1e-3)  # each level is the mean of its values


@pytest.mark.usefixtures("low_limit")
def test_what_was_coded_is_coded_again_without_loss() -> None:
    once = decode(encode({"w": pruned()}))["w"]

    assert torch.equal(decode(encode({"w": once}))["w"], once)


@pytest.mark.usefixtures("low_limit")
def test_a_large_matrix_of_zeros_comes_back() -> None:
    found = decode(encode({"w": torch.zeros(SIDE, SIDE)}))["w"]

    assert torch.equal(found, torch.zeros(SIDE, SIDE))


def test_only_matrices_above_the_limit_are_coded() -> None:
    kernel = torch.ones(1, LARGE // 1000 + 1, 1000)

    parts = encode({"matrix": torch.ones(1000, LARGE // 1000), "kernel": kernel})

    assert {name.partition("|")[2] for name in parts} == {"int8", "scale"}


def test_vectors_are_halved_and_counts_kept() -> None:
    weights = {"bias": torch.tensor([0.1, -2.0]), "steps": torch.tensor(70_000)}

    parts = encode(weights)
    found = decode(parts)

    assert parts["bias"].dtype == torch.float16
    assert found["bias"].tolist() == pytest.approx([0.1, -2.0], rel=2**-11)
    assert found["bias"].dtype == torch.float32
    assert found["steps"].dtype == torch.int64
    assert found["steps"] == 70_000


@pytest.mark.usefixtures("low_limit")
def test_encoding_is_deterministic_and_changes_nothing() -> None:
    weights = {"large": pruned(), "kernel": draws(4, 3, 3, 3), "bias": draws(4)}
    before = {name: tensor.clone() for name, tensor in weights.items()}

    first, second = encode(weights), encode(weights)

    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(weights[name], before[name]) for name in weights)


def test_what_was_decoded_is_coded_to_the_same_values_again() -> None:
    once = decode(encode({"kernel": draws(6, 3, 3, 3), "bias": draws(6)}))

    twice = decode(encode(once))

    torch.testing.assert_close(twice, once, rtol=1e-6, atol=0)


def test_squeeze_and_stretch_are_inverse_and_deterministic() -> None:
    content = bytes(range(256)) * 40 + b"end"

    small = squeeze(content)

    assert stretch(small) == content
    assert stretch(squeeze(b"")) == b""
    assert len(small) < len(content) / 10
    assert squeeze(content) == small


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_truncated_stream_raises(keep: float) -> None:
    small = squeeze(draws(2000).numpy().tobytes())

    with pytest.raises((lzma.LZMAError, EOFError)):
        stretch(small[: int(len(small) * keep)])


def test_a_damaged_stream_raises() -> None:
    small = bytearray(squeeze(draws(2000).numpy().tobytes()))
    small[len(small) // 2] ^= 0xFF

    with pytest.raises(lzma.LZMAError):
        stretch(bytes(small))
