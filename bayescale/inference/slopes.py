"""Gradients of a log density: by a step along each coordinate, or compiled where these are many."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bayescale.inference.compiled import compiled_before

__all__ = ["STEP", "by_jax", "by_steps"]

STEP = 1e-30
"""Of a complex step: far below rounding, so that the derivative carries none."""


def by_steps(log_density: Callable[[Any], Any], point: np.ndarray) -> tuple[float, np.ndarray]:
    """Value and gradient at one point, by a complex step along each coordinate, all at once."""
    stepped = log_density(point + 1j * STEP * np.eye(point.size))
    height = float(stepped[0].real)
    return (height, stepped.imag / STEP) if np.isfinite(height) else (-np.inf, np.zeros_like(point))


def by_jax(log_density: Callable[[Any], Any]) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """Value and gradient at one point, by JAX in 64 bits, compiled when first called."""
    compiled: list[Any] = []

    def gradient(point: np.ndarray) -> tuple[float, np.ndarray]:
        import jax

        with jax.enable_x64(True), compiled_before():
            if not compiled:
                compiled.append(jax.jit(jax.value_and_grad(log_density)))
            height, slope = compiled[0](np.asarray(point, dtype=float))
        height, slope = float(height), np.asarray(slope)
        return (height, slope) if np.isfinite(height) else (-np.inf, np.zeros_like(slope))

    return gradient
