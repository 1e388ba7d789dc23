"""NumPyro's NUTS on the density itself, whitened at its mode; chains run side by side, on a GPU too."""

import time
import warnings
from typing import Any

import numpy as np

from bayescale.errors import InputError
from bayescale.inference.compiled import compiled_before
from bayescale.inference.memory import FOR_JAX_GB, allowed_gb
from bayescale.inference.mode import Mode, find_mode
from bayescale.inference.progress import progress
from bayescale.inference.target import Draws, Settings, Target

__all__ = ["numpyro"]

_CHUNK = 50  # steps between looks at the clock and the keyboard
_FIELDS = ("potential_energy", "num_steps", "accept_prob", "energy", "diverging")


def numpyro(target: Target, settings: Settings, mode: Mode | None = None) -> Draws:
    """Posterior by NumPyro's NUTS.

    Coordinates are moved to the mode and whitened by the curvature there, so that a diagonal mass
    matrix fits. Computes in 64 bits whatever JAX was set to, and leaves that setting as it was.
    An interrupt keeps the draws made so far.
    """
    if allowed_gb() < FOR_JAX_GB:
        raise InputError(
            f"engine='numpyro' compiles with JAX, which takes {FOR_JAX_GB:.1f} GB of address space, and this "
            f"process is held to {allowed_gb():.1f} GB of memory. Raise the limit (ulimit -v), or use "
            "engine='laplace' or 'nutpie'."
        )
    import jax

    began = time.perf_counter()
    mode = mode or find_mode(target)
    with jax.enable_x64(True), compiled_before():
        points, extra, partial = _run(target, settings, mode)
    if points.shape[1] == 0:
        raise KeyboardInterrupt("interrupted before the first draw was kept")
    return Draws(
        engine="numpyro",
        points=points,
        statistics={
            "lp": -extra["potential_energy"],
            "n_steps": extra["num_steps"],
            "acceptance_rate": extra["accept_prob"],
            "energy": extra["energy"],
            "diverging": extra["diverging"],
        },
        notes={
            "seconds": time.perf_counter() - began,
            "gradients": int(extra["num_steps"].sum()),
            "device": jax.devices()[0].platform,
        },
        partial=partial,
    )


def _run(target: Target, settings: Settings, mode: Mode) -> tuple[np.ndarray, dict[str, np.ndarray], bool]:
    import jax
    import jax.numpy as jnp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm's, of a notebook without its widgets: our bars need none
        from numpyro.infer import NUTS

    root = np.linalg.cholesky(mode.covariance)

    def potential(z: Any) -> Any:
        return -target.log_density(mode.point + z @ root.T)

    kernel = NUTS(potential_fn=potential, target_accept_prob=settings.target_accept)
    rng = np.random.default_rng(settings.random_seed)
    starts = _starts(potential, rng, settings.chains, target.dim)
    for chain, rival in zip(range(settings.chains - 1, 0, -1), mode.rivals, strict=False):
        starts[chain] = np.linalg.solve(root, rival - mode.point)  # chains that do not meet will show it
    keys = jax.random.split(jax.random.PRNGKey(settings.random_seed), settings.chains)
    # Under jit: taken step by step, the start alone compiles for longer than the whole chain.
    begin = jax.jit(lambda keys, starts: kernel.init(keys, settings.tune, starts, (), {}))
    state = begin(keys, jnp.asarray(starts))

    @jax.jit
    def steps(state: Any) -> tuple[Any, dict[str, Any]]:
        def one(carried: Any, _: None) -> tuple[Any, dict[str, Any]]:
            moved = kernel.sample(carried, (), {})
            return moved, {"z": moved.z} | {name: getattr(moved, name) for name in _FIELDS}

        return jax.lax.scan(one, state, None, length=_CHUNK)

    kept: list[dict[str, np.ndarray]] = []
    partial = False
    total = settings.tune + settings.draws
    with progress(f"NUTS, {settings.chains} chains", total, settings.progressbar) as advance:
        try:
            for _ in range(0, total, _CHUNK):
                state, found = steps(state)
                kept.append({k: np.asarray(v) for k, v in found.items()})
                diverged = int(sum(part["diverging"].sum() for part in kept[settings.tune // _CHUNK :]))
                advance(_CHUNK, f"{diverged} divergences" if diverged else "")
        except KeyboardInterrupt:
            partial = True
    whole = (
        {k: np.concatenate([part[k] for part in kept])[settings.tune : total] for k in kept[0]}
        if kept
        else {}
    )
    if not kept:
        return np.empty((settings.chains, 0, target.dim)), {}, True
    extra = {name: np.swapaxes(whole[name], 0, 1) for name in _FIELDS}
    return mode.point + np.swapaxes(whole["z"], 0, 1) @ root.T, extra, partial


def _starts(potential: Any, rng: np.random.Generator, chains: int, dim: int) -> np.ndarray:
    """Points about the mode, twice as wide as a draw where the density allows it."""
    starts = 1.5 * rng.standard_normal((chains, dim))
    for i in range(chains):
        for _ in range(30):
            if np.isfinite(np.asarray(potential(starts[i]))):
                break
            starts[i] /= 2
    return starts
