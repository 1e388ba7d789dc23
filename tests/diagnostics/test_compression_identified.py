"""What is said of compression factors, from made posteriors whose geometry is known."""

import json

import numpy as np
import pytest

import bayescale as bs
from bayescale.model.density import Density
from bayescale.model.posterior import assemble
from bayescale.model.spec import specify
from bayescale.model.start import starting_points
from bayescale.testing import synthetic_posterior


def study(law, mixture="varied", experiment="two", **options):
    """A study whose draws scatter by a tenth of the prior's width about the prior's middle."""
    runs = bs.simulate_compression(experiment, families=4, runs=8, mixture=mixture)
    density = Density(specify(runs, law, noise=bs.Normal(on="value"), **options))
    rng = np.random.default_rng(0)
    middle = starting_points(density, 1)
    wide = starting_points(density, 200).std(axis=0) + 0.5
    points = middle + 0.1 * wide * rng.normal(size=(2, 100, density.dim))
    settings = {"random_seed": 0, "draws": 100, "tune": 0, "chains": 2}
    blocks = density.blocks(points)
    return assemble(density, blocks, runs=runs, statistics={}, engine={"name": "made"}, settings=settings)


def told(post, code="compression-by-losses"):
    found = [f for f in bs.identify(post).findings if f.code == code]
    assert len(found) == 1
    return found[0].message


def test_the_printed_law_fixes_only_the_sum_of_the_logs():
    post = study("compression_sum", "fixed")
    message = told(post)
    assert "under compression_sum the losses fix only the sum log C_text + log C_image" in message
    assert "only together with k0" in message
    assert "ridge: raise C_text and lower C_image by the same factor" in message
    assert "Join measurements" in message
    assert bs.intervals(post).attrs["compression"] == message
    assert [f.severity for f in bs.identify(post).findings if f.code == "compression-by-losses"] == [
        "warning"
    ]


def test_slopes_of_its_own_weigh_the_logs():
    post = study("compression_slopes", "fixed")
    record = json.loads(post.attrs["bayescale"])
    assert record["law"] == "compression_slopes"
    message = told(post)
    assert "the losses fix only " in message
    assert "only together with k0" in message


@pytest.mark.parametrize(("law", "partner"), [("compression_log", "k0"), ("compression_power", "B")])
@pytest.mark.parametrize("mixture", ["varied", "alone"])
def test_the_log_of_the_sum_fixes_relative_factors(law, partner, mixture):
    message = told(study(law, mixture))
    assert f"under {law} the losses fix only relative factors, C_image / C_text (within " in message
    assert f"trades off with {partner}" in message


def test_one_modality_has_no_factor_of_its_own():
    message = told(study("compression_power", experiment="text"))
    assert message.startswith("C_text: under compression_power the losses tell it only together with B")


def test_measured_factors_are_known_and_how_well():
    post = study("compression_power", "fixed", measurements=bs.simulate_measurements("two"))
    assert [f.code for f in bs.identify(post).findings if f.code == "compression-by-losses"] == []
    message = told(post, "compression-measured")
    assert message.startswith("known by measurement: C_text of the runs to ")
    assert "% (90 % interval) with 32 measurements; C_image of the runs" in message
    assert bs.intervals(post).attrs["compression"] == message


def test_a_law_without_factors_has_no_such_line():
    post = synthetic_posterior("chinchilla")
    assert "compression" not in bs.intervals(post).attrs
    assert not [f for f in bs.identify(post).findings if f.code.startswith("compression")]
