"""Estimates that do not mind if less than half of what they are given is wrong."""

from __future__ import annotations

import math

import numpy as np

TO_DEVIATION = 1.4826  # of a median absolute deviation, to be that of a normal distribution
_STEPS = 15
_BEYOND = 4.685  # deviations at which Tukey's biweight leaves a value out; 95 % efficient
_LEAST = 1e-9  # deviation, which is 0 of exact values


def median(values: np.ndarray, weights: np.ndarray) -> float:
    """The weighted median; NaN of nothing."""
    return quantile(values, weights, 0.5)


def quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """Where this share of the weight lies below, between the two values about it; NaN of nothing.

    Half of a value's own weight lies below it.
    """
    if not values.size:
        return math.nan
    order = np.argsort(values)
    ends = np.cumsum(weights[order])
    return float(np.interp(share * ends[-1], ends - weights[order] / 2, values[order]))


def deviation(values: np.ndarray, weights: np.ndarray, centre: float) -> float:
    """1.4826 times the weighted median of the distances from a centre."""
    return TO_DEVIATION * median(np.abs(values - centre), weights)


def fit(columns: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The (K,) coefficients of (N, K) columns that give (N,) values.

    By least absolute deviations first, which no far value can drag away, and from there by Tukey's
    biweight, which leaves far values out. Both are least squares, reweighted in turns.
    """
    share = weights
    for step in range(2 * _STEPS):
        root = np.sqrt(share)
        coefficients = np.linalg.lstsq(columns * root[:, None], values * root, rcond=None)[0]
        off = np.abs(values - columns @ coefficients)
        unit = max(TO_DEVIATION * median(off, weights), _LEAST)
        if step < _STEPS:
            share = weights / np.maximum(off, unit / 100)
        else:
            share = weights * np.clip(1 - (off / (_BEYOND * unit)) ** 2, 0, None) ** 2
    return coefficients
