"""The Chinchilla law as a user would write it in PyMC and NumPyro, beside `bs.fit`, on the 240 runs.

    uv run python benchmarks/textbook.py             # writes docs/textbook.md
    uv run python benchmarks/textbook.py pymc        # one of them, printed only

Peers sample the *textbook model*: the paper's letters at raw inputs (E, log A, alpha, log B, beta) with weak
priors, Student-t scatter of the log loss; 4 chains of 500 draws after 500 of warm-up, all settings as they come.
PyMC and nutpie share one model. `bs.fit` is the same law with its own priors and coordinates, taken as exact.
Our own model through each of these engines: benchmarks/engines.py.

`first`: in a fresh process, compilation included, the import of the peers not. `warm`: again in that process; of what can be
compiled once and sampled again, the sampling alone. Effective draws are the least over all unknowns, bulk; those
of `bs.fit` are the worth of its weights where its draws are weighted.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

DRAWS, CHAINS = 500, 4
SLOWEST = 1800  # seconds after which a peer is given up

_DATA = """
import json, time, warnings
warnings.simplefilter("ignore")
import numpy as np
import bayescale as bs
runs = bs.load_runs("chinchilla-figure4").where(lambda f: ~f["flag"].str.contains("authors_outlier"))
size, data, loss = (runs.frame[k].to_numpy(dtype=float) for k in ("n_params", "n_tokens", "value"))

def timed(fit):
    times = []
    for seed in (0, 1):
        began = time.perf_counter()
        found = fit(seed)
        times.append(time.perf_counter() - began)
    return times, found

def tell(times, posterior, diverging):
    import arviz as az
    ess, rhat = (np.concatenate([np.ravel(v.values) for v in f(posterior).data_vars.values()]) for f in (az.ess, az.rhat))
    quantities = {k: np.quantile(posterior[k].values, [0.5, 0.05, 0.95]).tolist() for k in ("E", "alpha", "beta")}
    print(json.dumps({"times": times, "ess": float(ess.min()), "rhat": float(rhat.max()),
                      "diverging": int(np.sum(diverging)), "quantities": quantities}))
"""

_PYMC = """
import pymc as pm
with pm.Model() as model:
    E = pm.HalfNormal("E", 2.0)
    log_A = pm.Normal("log_A", 6.0, 3.0)
    log_B = pm.Normal("log_B", 6.0, 3.0)
    alpha = pm.HalfNormal("alpha", 0.5)
    beta = pm.HalfNormal("beta", 0.5)
    sigma = pm.HalfNormal("sigma", 0.1)
    nu = pm.Gamma("nu", 2.0, 0.1)
    law = E + pm.math.exp(log_A) * size**-alpha + pm.math.exp(log_B) * data**-beta
    pm.StudentT("log_loss", nu=nu, mu=pm.math.log(law), sigma=sigma, observed=np.log(loss))
"""

_ONE = {
    "bayescale": """
times, study = timed(lambda seed: bs.fit(runs, discrepancy=None, random_seed=seed, progressbar=False))
told, table, found = json.loads(study.attrs["bayescale"])["engine"], bs.convergence(study).table, bs.intervals(study)
print(json.dumps({"times": times, "ess": told.get("effective_draws", float(table["ess_bulk"].min())),
                  "rhat": float(table["rhat"].max()), "diverging": None, "ran": told["name"],
                  "quantities": {k: found[k].values.tolist() for k in ("E", "alpha", "beta")}}))
""",
    "pymc": _PYMC
    + """
def fit(seed):
    with model:
        return pm.sample(DRAWS, tune=DRAWS, chains=CHAINS, random_seed=seed, progressbar=False)
times, found = timed(fit)
tell(times, found["posterior"].dataset if hasattr(found["posterior"], "dataset") else found["posterior"],
     found["sample_stats"]["diverging"].values)
""",
    "nutpie": _PYMC
    + """
import nutpie
kept = []
def fit(seed):
    kept.append(kept[0] if kept else nutpie.compile_pymc_model(model))
    return nutpie.sample(kept[0], draws=DRAWS, tune=DRAWS, chains=CHAINS, seed=seed, progress_bar=False)
times, found = timed(fit)
tell(times, found["posterior"].dataset if hasattr(found["posterior"], "dataset") else found["posterior"],
     found["sample_stats"]["diverging"].values)
""",
    "numpyro": """
import numpyro
numpyro.enable_x64()
numpyro.set_host_device_count(CHAINS)
import jax, jax.numpy as jnp, xarray as xr, numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS
def model(size, data, log_loss):
    E = numpyro.sample("E", dist.HalfNormal(2.0))
    log_A = numpyro.sample("log_A", dist.Normal(6.0, 3.0))
    log_B = numpyro.sample("log_B", dist.Normal(6.0, 3.0))
    alpha = numpyro.sample("alpha", dist.HalfNormal(0.5))
    beta = numpyro.sample("beta", dist.HalfNormal(0.5))
    sigma = numpyro.sample("sigma", dist.HalfNormal(0.1))
    nu = numpyro.sample("nu", dist.Gamma(2.0, 0.1))
    law = E + jnp.exp(log_A) * size**-alpha + jnp.exp(log_B) * data**-beta
    numpyro.sample("log_loss", dist.StudentT(nu, jnp.log(law), sigma), obs=log_loss)
mcmc = MCMC(NUTS(model), num_warmup=DRAWS, num_samples=DRAWS, num_chains=CHAINS, progress_bar=False)
def fit(seed):
    mcmc.run(jax.random.PRNGKey(seed), size, data, np.log(loss))
    return {k: np.asarray(v) for k, v in mcmc.get_samples(group_by_chain=True).items()}
times, found = timed(fit)
tell(times, xr.Dataset({k: (("chain", "draw"), v) for k, v in found.items()}), mcmc.get_extra_fields()["diverging"])
""",
}


def measure(name: str) -> dict | None:
    """Times, effective draws and intervals of one of them, in a process of its own; None where it was given up."""
    code = (_DATA + _ONE[name]).replace("DRAWS", str(DRAWS)).replace("CHAINS", str(CHAINS))
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SLOWEST
        )
    except subprocess.TimeoutExpired:
        return None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{name}: {error.stderr[-2000:]}") from error
    return json.loads(done.stdout.splitlines()[-1])


def line(name: str, row: dict | None, ours: dict) -> str:
    """One of them in the table."""
    if row is None:
        return f"| {name} | given up after {SLOWEST} s" + " | " * 10 + "|"
    first, warm = row["times"]
    rate, best = row["ess"] / warm, ours["ess"] / ours["times"][1]
    diverging = "—" if row["diverging"] is None else row["diverging"]
    cells = [f"{m:.3f} ({lo:.3f}, {hi:.3f})" for m, lo, hi in row["quantities"].values()]
    ratio = "1" if row is ours else f"{best / rate:,.0f}"
    wait = "1" if row is ours else f"{first / ours['times'][0]:,.1f}"
    return (
        f"| {name} | {first:.1f} | {warm:.2f} | {row['ess']:,.0f} | {rate:,.1f} | {diverging} | "
        f"{row['rhat']:.3f} | {wait} | {ratio} | " + " | ".join(cells) + " |"
    )


def main() -> None:
    """Measure all and write the table, or print one."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
        return
    rows = {name: measure(name) for name in _ONE}
    ours = rows["bayescale"]
    assert ours is not None
    lines = [
        "# The Chinchilla law as a textbook would write it",
        "",
        "Written by `uv run python benchmarks/textbook.py`, where the models stand. Peers: E, log A, alpha, log B, beta at "
        f"raw inputs with weak priors, Student-t scatter of the log loss, {CHAINS} chains of {DRAWS} draws after {DRAWS} "
        "of warm-up. `bayescale` is `bs.fit(runs, discrepancy=None)`: the same law and noise, its own priors and "
        f"coordinates; here by the engine `{ours['ran']}`, which has no chains to diverge and tells the worth of its weights.",
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, shared with other work "
        "while this ran. Quote ratios, not seconds.",
        "",
        "| | first, s | warm, s | effective draws | draws per s, warm | divergences | R-hat | waits longer, first | "
        "bayescale's rate is so many times its | E | alpha | beta |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|---|---|",
        *(line(name, row, ours) for name, row in rows.items()),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    (Path(__file__).parents[1] / "docs" / "textbook.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
