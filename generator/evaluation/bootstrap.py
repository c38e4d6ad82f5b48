"""Bootstrap intervals of means and of differences of means."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from generator.records.trust import Compared, Estimate

Values = NDArray[np.float64]
RESAMPLES = 5000  # of the bootstrap


# Intervals


def estimates(values: Values, seed: int) -> list[Estimate]:
    """The mean of each row of (M, n) and its 95 % percentile bootstrap interval over the n images.

    Efron and Tibshirani 1993, chapter 13. All rows are resampled alike.
    """
    count = values.shape[1]
    rng = np.random.default_rng(seed)
    drawn = rng.integers(count, size=(RESAMPLES, count))
    resampled = np.stack([row[drawn].mean(1) for row in values])
    low, high = np.percentile(resampled, [2.5, 97.5], axis=1)
    return [Estimate(*map(float, each)) for each in zip(values.mean(1), low, high, strict=True)]


def compared(values: Values, baselines: Mapping[str, Values], seed: int) -> Compared:
    """The mean of (n,) values beside those of the baselines, and of the paired differences."""
    gaps = [values - other for other in baselines.values()]
    value, *found = estimates(np.stack([values, *baselines.values(), *gaps]), seed)
    beside, ahead = found[: len(baselines)], found[len(baselines) :]
    return Compared(value, dict(zip(baselines, beside, strict=True)), dict(zip(baselines, ahead, strict=True)))
