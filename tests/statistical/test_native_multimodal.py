"""The simulated native multimodal study: its truth is found at the stated rate."""

import warnings

import numpy as np
import pytest
from scipy.stats import binom

import bayescale as bs
from bayescale.simulated import native_multimodal_truth, simulate_native_multimodal

pytestmark = pytest.mark.statistical

LETTERS = ("E", "alpha", "beta")


def test_laws_of_single_families_are_found_as_often_as_stated():
    """Nine laws in each of eight made studies, 80 % intervals; a sound fit fails here once in a thousand."""
    inside = []
    for seed in range(8):
        runs = simulate_native_multimodal(random_seed=seed)
        for truth in native_multimodal_truth().to_dict(orient="records"):
            rows = runs.where(family=f"{truth['architecture']} {truth['mixture']}", eval_name=truth["target"])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", bs.BayescaleWarning)
                found = bs.intervals(
                    bs.fit(rows, noise="normal", random_seed=seed, progressbar=False), prob=0.8
                )
            inside += [
                bool(found[k].sel(bound="lower") <= truth[k] <= found[k].sel(bound="upper")) for k in LETTERS
            ]
    # Letters of one law err together, so a law counts as one and a half, not as three.
    law = np.array(inside).reshape(-1, len(LETTERS)).mean(axis=1)
    effective = int(1.5 * law.size)
    low, high = binom.ppf([0.0005, 0.9995], effective, 0.8) / effective
    assert low <= law.mean() <= high, law.mean()


def test_partial_pooling_finds_the_exponents_of_dense_families():
    """Experts are left apart: their law is another one, which a population of six would draw to the dense."""
    runs = simulate_native_multimodal(random_seed=3).where("eval_name == average and architecture != experts")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        post = bs.fit(
            runs, pool="family", noise="normal", random_seed=3, target_accept=0.95, progressbar=False
        )
    found = bs.intervals(post, prob=0.98)
    truth = native_multimodal_truth()
    truth = truth[truth["target"] == "average"]
    truth = truth.assign(family=truth["architecture"] + " " + truth["mixture"]).set_index("family")
    missed = [
        (family, letter)
        for family in map(str, found["family"].values)
        for letter in LETTERS
        if not found[letter].sel(family=family, bound="lower")
        <= truth.loc[family, letter]
        <= found[letter].sel(family=family, bound="upper")
    ]
    assert len(missed) <= 3, missed  # of 15 at 98 %, where letters of one law err together
