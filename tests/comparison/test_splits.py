import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.comparison.schemes import scheme_of
from bayescale.comparison.splits import by_condition, checked, scale_of
from bayescale.runs.table import RunTable

BUDGETS = (1e18, 1e19, 1e20, 1e21)
FAMILIES = ("ash", "beech", "cedar")


def table_of(frame):
    """A run table without the checks at reading, which are not the matter here."""
    usual = {"study": "s", "family": "f", "metric": "loss_nats", "value": 2.0}
    lacking = {name: cell for name, cell in usual.items() if name not in frame}
    return RunTable(frame.assign(**lacking).reset_index(drop=True))


def grid(families=FAMILIES, budgets=BUDGETS, per=3):
    """Each family has `per` runs at each budget, counted within 4 % of it."""
    rows = [
        (family, f"{family}-{i}-{k}", c * (1 + 0.02 * k), 10 ** (8 + k / 2), 2.0 + 0.1 * k)
        for family in families
        for i, c in enumerate(budgets)
        for k in range(per)
    ]
    frame = pd.DataFrame(rows, columns=["family", "run_id", "flops", "n_params", "value"])
    frame["n_tokens"] = frame["flops"] / 6 / frame["n_params"]
    return table_of(frame)


def held(table, split, column="run_id"):
    return set(table.frame.loc[split.test, column])


def test_rolling_takes_each_budget_but_the_last():
    table = grid()
    splits, findings = bs.Rolling(least=9).splits(table)
    assert not findings
    assert [s.meta["origin"] for s in splits] == pytest.approx([1.04e18, 1.04e19, 1.04e20])
    flops = table.frame["flops"].to_numpy()
    for split in splits:
        assert flops[split.train].max() < flops[split.test].min()
        assert (split.train | split.test).all()
        assert split.decades == pytest.approx(np.log10(flops[split.test] / flops[split.train].max()))


def test_rolling_leaves_out_origins_with_too_few_rows_and_keeps_the_largest():
    assert len(bs.Rolling(least=10).splits(grid())[0]) == 2
    (only,) = bs.Rolling(least=1, origins=1).splits(grid())[0]
    assert only.meta["origin"] == pytest.approx(1.04e20)


def test_scattered_scales_are_cut_evenly_in_the_log():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"n_params": 10 ** rng.uniform(7, 10, 120), "value": 3.0})
    frame["run_id"] = [f"r{i}" for i in range(120)]
    splits, _ = bs.Rolling(origins=4).splits(table_of(frame))
    assert {s.meta["column"] for s in splits} == {"n_params"}
    steps = np.diff(np.log10([s.meta["origin"] for s in splits]))
    assert steps == pytest.approx(steps.mean(), abs=0.15), "to the nearest run"
    assert splits[0].train.sum() >= 12
    assert splits[-1].test.sum() >= 5


def test_a_handful_of_runs_rolls_one_by_one():
    frame = pd.DataFrame({"flops": 10.0 ** np.arange(18, 24), "value": np.arange(6, 0, -1.0)})
    splits, _ = bs.Rolling(least=3, origins=10).splits(table_of(frame.assign(run_id=list("abcdef"))))
    assert [int(s.train.sum()) for s in splits] == [3, 4, 5]


def test_compute_is_6nd_where_the_table_does_not_state_it():
    frame = grid().frame
    name, scale = scale_of(frame.drop(columns="flops"))
    assert name == "6ND"
    assert scale == pytest.approx(frame["flops"].to_numpy())
    assert scale_of(frame)[0] == "flops"
    assert scale_of(frame.drop(columns=["flops", "n_params"]))[0] == "n_tokens"
    assert scale_of(frame.drop(columns=["flops", "n_tokens"]))[0] == "n_params"
    with pytest.raises(bs.InputError, match="no column tells how large"):
        scale_of(frame[["run_id", "family"]])
    with pytest.raises(bs.InputError, match="no column 'speed'"):
        scale_of(frame, "speed")


def test_rows_of_unknown_compute_are_on_neither_side():
    frame = grid().frame.copy()
    frame.loc[[0, 30], "flops"] = np.nan
    splits, findings = bs.Rolling().splits(table_of(frame))
    assert all(not (s.train | s.test)[[0, 30]].any() for s in splits)
    assert [f.code for f in findings] == ["unplaced-rows"]


def test_each_family_is_left_out_once():
    table = grid()
    splits, findings = bs.LeaveOut().splits(table)
    assert [s.meta["family"] for s in splits] == list(FAMILIES)
    for split in splits:
        assert held(table, split, "family") == {split.meta["family"]}
        assert (split.train ^ split.test).all()
        assert not split.decades.any(), "no family has more compute than the others"
    assert [f.code for f in findings] == ["few-groups-to-learn-from"]


def test_a_new_family_gets_its_smallest_runs_and_every_case_the_same_rows():
    table = grid(budgets=(1e18, 3e18, 1e19, 3e19, 1e20))
    splits, _ = bs.FewRuns(own=(0, 1, 3, 6)).splits(table)
    assert len(splits) == 3 * (4 + 3)
    family = [s for s in splits if s.meta["family"] == "beech"]
    assert len({frozenset(held(table, s)) for s in family}) == 1
    flops, of = table.frame["flops"].to_numpy(), (table.frame["family"] == "beech").to_numpy()
    for split in family:
        own = split.train & of
        assert own.sum() == split.meta["own_runs"]
        assert (split.train & ~of).sum() == (0 if split.reference else 30)
        assert split.options == ({"pool": None} if split.reference else {})
        assert sorted(flops[own]) == sorted(flops[of])[: own.sum()]
        assert flops[split.test].min() > (flops[own].max() if own.any() else 0)
        reach = flops[own].max() if own.any() else flops[of].min()
        assert split.decades == pytest.approx(np.log10(flops[split.test] / reach))
    assert len(held(table, family[0])) == 9
    assert {s.label for s in splits} == {s.label for s in family}


def test_all_evaluations_of_a_run_go_the_same_way():
    frame = grid().frame
    twice = pd.concat([frame.assign(eval_name="x"), frame.assign(eval_name="y")])
    table = table_of(twice)
    for split in bs.FewRuns(own=(3,)).splits(table)[0]:
        assert held(table, split).isdisjoint(table.frame.loc[split.train, "run_id"])
        assert (
            split.meta["own_runs"] * 2
            == (split.train & (table.frame["family"] == split.meta["family"])).sum()
        )


def test_groups_too_small_to_be_scored_are_named():
    small = table_of(
        pd.DataFrame(
            {"family": "elm", "run_id": ["e1", "e2"], "flops": [1e18, 1e20], "n_params": 1e8, "value": 2.0}
        )
    )
    splits, findings = bs.FewRuns().splits(grid().join(small))
    assert {s.meta["family"] for s in splits} == set(FAMILIES)
    assert any(f.code == "groups-too-small" and "'elm'" in f.message for f in findings)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda t: bs.Rolling(least=1000).splits(t), "no origin leaves 1000 rows"),
        (lambda t: bs.Rolling(origins=0).splits(t), "origins=0 must be"),
        (lambda t: bs.Rolling(column="modality").splits(t), "no column 'modality'"),
        (lambda t: bs.Rolling(column="value").splits(t), "no column 'value'"),
        (lambda t: bs.LeaveOut(["family"]).splits(t), "no column .'family'."),
        (lambda t: bs.FewRuns(own=3).splits(t), "own=3 must hold"),
        (lambda t: bs.LeaveOut("planet").splits(t), "no column 'planet'"),
        (lambda t: bs.LeaveOut("study").splits(t), "needs two or more"),
        (lambda t: bs.FewRuns(own=(0, 50)).splits(t), "none has more than 50 runs"),
        (lambda t: bs.FewRuns(own=(-1,)).splits(t), "own=-1 must be"),
        (lambda t: bs.FewRuns(groups=("oak",)).splits(t), "no family 'oak'"),
        (lambda t: bs.FewRuns(factor="study").splits(t), "need others beside it"),
        (lambda t: bs.FewRuns(own=()).splits(t), "own=.. must hold numbers"),
        (lambda t: scheme_of("leave-one-out"), "rolling, leave-family-out, few-runs"),
        (lambda t: scheme_of(3), "a int is none of these"),
        (lambda t: scheme_of(bs.Rolling), "a type is none of these"),
    ],
)
def test_a_scheme_that_cannot_be_is_refused(make, says):
    with pytest.raises(bs.InputError, match=says):
        make(grid())


def masks(train, test):
    return {"train": np.array(train, dtype=bool), "test": np.array(test, dtype=bool)}


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        ([], "holds no split"),
        (["flops"], "holds a str"),
        ([bs.Split("a", **masks([1, 0, 1], [0, 1]))], "test takes 3 values"),
        ([bs.Split("a", np.array([0, 1, 2]), np.array([True, False, False]))], "train takes 3 values"),
        ([bs.Split("a", **masks([1, 0, 1], [0, 0, 0]))], "no row is true in test"),
        ([bs.Split("a", **masks([1, 1, 0], [0, 1, 1]))], "1 rows are both fitted and scored"),
        ([bs.Split("a", **masks([1, 0, 0], [0, 1, 1]), decades=np.zeros(3))], "2 rows are held back"),
        ([bs.Split("a", **masks([1, 0, 0], [0, 1, 1]))] * 2, "two splits are called 'a'"),
    ],
)
def test_splits_of_ones_own_are_checked(splits, says):
    with pytest.raises(bs.InputError, match=says):
        checked(splits, 3)


def test_the_distance_of_one_split_is_in_compute():
    table = grid()
    (split,), _ = by_condition(table, "n_params < 5e8")
    flops = table.frame["flops"].to_numpy()
    assert split.decades == pytest.approx(np.maximum(np.log10(flops[split.test] / 1.02e21), 0))
    no_compute = table_of(table.frame.drop(columns=["flops", "n_tokens"]))
    assert by_condition(no_compute, "n_params < 5e8")[0][0].decades is None
