"""exp that takes many numbers at a time."""

from __future__ import annotations

from typing import Any

import numba
import numba.extending
import numpy as np

from .compiled import compiled


@compiled
def exp(value: float) -> float:
    """exp of a number from -87 to 87, to 3e-7 of itself: far less than a 255th shows.

    Splits exp(v) = 2^n 2^f with |f| <= 1/2, where five terms of the series of 2^f suffice, and
    puts n into a float's exponent; the library's own does not take many numbers at a time.
    """
    power = value * np.float32(1.44269504)
    # Rounds, as the sum is above 0; with 64 bits not as many numbers are taken at a time.
    whole = np.int32(np.int32(power + np.float32(128.5)) - np.int32(128))
    f = power - np.float32(whole)
    series = np.float32(0.00961813) + f * np.float32(0.00133336)
    series = np.float32(0.24022651) + f * (np.float32(0.05550411) + f * series)
    series = np.float32(1) + f * (np.float32(0.69314718) + f * series)
    return series * _power_of_two(whole)


@numba.extending.intrinsic
def _exponent(context: Any, exponent: Any) -> Any:
    """2 to an int32 power within a float32's range, by its bits."""
    from llvmlite import ir

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        biased = builder.add(arguments[0], ir.Constant(ir.IntType(32), 127))
        bits = builder.shl(biased, ir.Constant(ir.IntType(32), 23))
        return builder.bitcast(bits, ir.FloatType())

    return numba.types.float32(numba.types.int32), generate


_power_of_two: Any = _exponent  # which is called without the context
