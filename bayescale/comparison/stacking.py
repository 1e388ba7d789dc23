"""Weights with which the predictions of several models together fit best."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["stacking_weights"]

_NOTHING = 1e-9  # a weight below it is rounding of the optimiser


def stacking_weights(pointwise: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Stacking weights of predictive distributions (Yao, Vehtari, Simpson and Gelman, 2018).

    They maximise :math:`\sum_i \log \sum_k w_k\, p_{ik}` over weights that are not negative and sum
    to one.

    Parameters
    ----------
    pointwise : array of shape (row, model)
        Log of p: the leave-one-out density of each row under each model.

    Returns
    -------
    array of shape (model,)
    """
    from scipy.optimize import minimize

    n_models = pointwise.shape[1]
    density = np.exp(pointwise - pointwise.max(axis=1, keepdims=True))

    def downhill(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mixed = np.maximum(density @ weights, 1e-300)
        return -float(np.mean(np.log(mixed))), -(density / mixed[:, None]).mean(axis=0)

    found = minimize(
        downhill,
        np.full(n_models, 1.0 / n_models),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * n_models,
        constraints={
            "type": "eq",
            "fun": lambda w: w.sum() - 1.0,
            "jac": lambda w: np.ones(n_models),
        },
        options={"ftol": 1e-12, "maxiter": 500},
    )
    weights = np.where(found.x > _NOTHING, found.x, 0.0)
    return weights / weights.sum()
