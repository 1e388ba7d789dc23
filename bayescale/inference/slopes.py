"""Gradients of a log density of many coordinates, where one evaluation for each coordinate is too slow."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bayescale.inference.compiled import compiled_before

__all__ = ["by_jax"]


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
