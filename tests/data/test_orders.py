"""A permuted order of classes, found on every other answer."""

from __future__ import annotations

import tracemalloc

import numpy as np

from generator.data.orders import other_order


def answers(meant: list[int], each: int, wrong: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Answers whose output `at` stands for the class `meant[at]`; so large a share of them are drawn at random."""
    noise = np.random.default_rng(seed)
    targets = np.repeat(np.arange(len(meant)), each)
    found = np.argsort(meant)[targets]
    mixed = noise.random(len(found)) < wrong
    return np.where(mixed, noise.integers(0, len(meant), len(found)), found), targets


def test_an_order_is_found_with_what_it_makes_of_the_others() -> None:
    found = other_order(*answers([2, 0, 1], 8, 0), 3)
    assert found is not None
    assert found.meant == (2, 0, 1)
    assert found.right.all()
    assert len(found.right) == 12
    assert found.better


def test_a_weak_network_of_many_classes_is_told_too() -> None:
    order = np.random.default_rng(1).permutation(100).tolist()
    found = other_order(*answers(order, 8, 0.4), 100)
    assert found is not None
    assert found.better
    assert np.mean(np.array(found.meant) == order) > 0.9


def test_an_order_of_21843_classes_is_found_without_a_matrix() -> None:
    order = np.random.default_rng(2).permutation(21_843).tolist()
    tracemalloc.start()
    found = other_order(*answers(order, 8, 0.2), 21_843)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2e8  # of 8 bytes each the cells of a matrix would be 3.8e9
    assert found is not None
    assert found.better
    assert np.mean(np.array(found.meant) == order) > 0.98


def test_outputs_that_answer_nothing_take_what_is_left() -> None:
    given, targets = answers([1, 2, 0, 3, 4, 5, 6, 7, 8, 9], 8, 0)
    found = other_order(np.where(given == 4, 5, given), targets, 10)
    assert found is not None
    assert found.meant == (1, 2, 0, 3, 4, 5, 6, 7, 8, 9)


def test_no_other_order_is_clear() -> None:
    assert other_order(*answers([0, 1, 2], 8, 0), 3) is None  # it is the same
    assert other_order(*answers([2, 0, 1], 7, 0), 3) is None  # too few images
    _, targets = answers([0, 1, 2], 40, 0)
    assert other_order(np.zeros(120, np.int64), targets, 3) is None  # always the same answer
    lucky = [other_order(*answers([0, 1, 2], 40, 1, seed), 3) for seed in range(40)]
    assert sum(one is not None and one.better for one in lucky) <= 1
