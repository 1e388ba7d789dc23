"""The pointwise log likelihood of a study is worked out when read, and is then an array like any other."""

import copy
import pickle
from unittest.mock import patch

import numpy as np
import pytest
from small_runs import small_runs

import bayescale as bs
from bayescale.model import pointwise


@pytest.fixture
def study():
    return bs.fit(
        small_runs("chinchilla"), discrepancy=None, engine="laplace", random_seed=0, progressbar=False
    )


@pytest.fixture
def values(study):
    return study.copy(deep=True)["log_likelihood"]["value"].values


def test_it_is_worked_out_once_and_only_when_read():
    with patch.object(pointwise, "_worked_out", wraps=pointwise._worked_out) as work:
        made = bs.fit(
            small_runs("chinchilla"), discrepancy=None, engine="laplace", random_seed=0, progressbar=False
        )
        assert not work.called
        some = made["log_likelihood"]["value"].isel(draw=slice(3), run=[2, 0]).values
        every = made["log_likelihood"]["value"].values
        np.testing.assert_array_equal(every[:, :3][:, :, [2, 0]], some)
        assert work.call_count == 1


@pytest.mark.parametrize(
    "carry", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), lambda x: x.isel(draw=slice(None))]
)
def test_copies_hold_the_same_numbers(study, values, carry):
    np.testing.assert_array_equal(carry(study)["log_likelihood"]["value"].values, values)


def test_a_number_set_in_a_copy_leaves_the_study_as_it_was(study, values):
    other = study.copy(deep=True)
    other["log_likelihood"]["value"][0, 0, 0] = 7.0
    assert other["log_likelihood"]["value"].values[0, 0, 0] == 7.0
    np.testing.assert_array_equal(study["log_likelihood"]["value"].values, values)
