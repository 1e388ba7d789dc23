import numpy as np
import pytest

import bayescale as bs

LAWS = ("chinchilla", "chinchilla_shared")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two laws of the same runs, which bend away from both."""
    where, rng = tmp_path_factory.mktemp("laws"), np.random.default_rng(3)
    flops = np.repeat(10 ** (18 + 0.5 * np.arange(6)), 6)
    ratio = np.tile(20 * 10 ** np.linspace(-1, 1, 6), 6)
    size = np.sqrt(flops / 6 / ratio)
    value = 1.8 + 0.36 * (size / 1e9) ** -0.35 + 0.45 * (size * ratio / 1e10) ** -0.37
    value = value * np.exp(-0.015 * np.log10(flops / 1e18) ** 2 + rng.normal(0, 0.003, 36))
    runs = bs.read_runs(
        {
            "run_id": [f"r{i:02d}" for i in range(36)],
            "metric": ["loss_nats"] * 36,
            "n_params": size,
            "n_tokens": size * ratio,
            "flops": flops,
            "value": value,
        }
    )
    exact = {"engine": "laplace", "draws": 250, "noise": "normal", "discrepancy": None, "progressbar": False}
    for law in LAWS:
        bs.save(bs.fit(runs, law, random_seed=0, **exact), where / f"{law}.nc")
    return where


@pytest.mark.filterwarnings("ignore::bayescale.BayescaleWarning")
def test_the_exam_is_told_in_words_and_as_json(run, folder):
    words = run(
        "check-extrapolation", folder / "chinchilla.nc", "--at", "n_params=7e10", "--at", "n_tokens=1e12"
    )
    assert words.status == 0
    assert words.out.startswith("Failed: did not foretell 12 runs")
    assert "warning: the scales asked about lie up to" in words.out
    told = run("check-extrapolation", folder / "chinchilla.nc", "--held", "1", "--json").json
    assert told["ok"] is False
    assert len(told["rows"]) == 6
    assert {"run_id", "observed", "median", "lower", "upper", "z", "decades"} <= set(told["rows"][0])
    assert told["bias_z"] < -2
    assert "misses-one-way" in {f["code"] for f in told["findings"]}


@pytest.mark.filterwarnings("ignore::bayescale.BayescaleWarning")
def test_an_average_is_made_saved_and_asked(run, folder):
    paths = [folder / f"{law}.nc" for law in LAWS]
    told = run("average", *paths, "-o", folder / "both.nc", "--json").json
    assert [m["member"] for m in told["members"]] == list(LAWS)
    assert sum(m["weight"] for m in told["members"]) == pytest.approx(1)
    assert told["weights_from"] == "ahead"
    words = run("average", *paths, "--weights", "loo")
    assert "nothing was saved" in words.out
    shown = run("show", folder / "both.nc")
    assert shown.status == 0
    assert all(law in shown.out for law in LAWS)
    assert run("show", folder / "both.nc", "--json").json["members"] == told["members"]
    budget = run("allocate", folder / "both.nc", "--flops", "1e20", "--json").json[0]
    expected = bs.allocate(bs.open(folder / "both.nc"), 1e20)
    assert budget["n_params"]["median"] == float(expected["n_params"].sel(bound="median")[0])
    assert sum(hump["share"] for hump in budget["humps"]) == pytest.approx(1 - budget["no_optimum"])
    assert set(budget["humps"][0]) == {"share", "n_params", "tokens_per_param"}


def test_impossible_requests_are_one_message(run, folder):
    one = folder / "chinchilla.nc"
    for command in (("check-extrapolation", one, "--held", "-1"), ("average", one), ("average", one, one)):
        told = run(*command)
        assert told.status == 1
        assert told.err.count("error:") == 1
