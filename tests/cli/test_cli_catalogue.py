import pytest

import bayescale as bs


def test_runs_list_has_every_study(run):
    told = run("runs", "list", "--json").json
    assert [study["study"] for study in told] == list(bs.list_studies()["study"])
    assert "gadre-overtraining" in run("runs", "list").out


def test_runs_show_gives_the_card_and_as_many_rows_as_asked(run):
    told = run("runs", "show", "datablations", "--rows", "3", "--json").json
    assert told["licence"] == bs.card("datablations").licence
    assert len(told["first_rows"]) == 3
    assert told["first_rows"][0]["n_params"] > 1e6
    table = run("runs", "show", "datablations", "--rows", "2").out
    assert "licence" in table
    assert "first rows" in table


def test_laws_say_what_they_read_and_learn(run):
    told = {law["law"]: law for law in run("laws", "--json").json}
    assert told["chinchilla"]["reads"] == ["n_params", "n_tokens"]
    assert told["chinchilla"]["learns"]["alpha"] == "exponent"
    assert set(told) == set(bs.laws.registered())
    assert "data_constrained" in run("laws").out


def test_one_law_is_told_in_full(run):
    told = run("laws", "routed")
    assert told.status == 0
    for words in (r"\log L =", "n_experts", "E_start", "clark2022", "S-BASE", "trade off strongly"):
        assert words in told.out
    assert ":math:" not in told.out
    known = run("laws", "chinchilla", "--json").json
    assert known["formula"] == [r"L(N, D) = E + A N^{-\alpha} + B D^{-\beta}"]
    assert known["columns"]["n_tokens"]["unit"] == "tokens"
    printed = {(p["key"], p["variant"]): p for p in known["published"]}
    assert printed["hoffmann2022", "printed"]["parameters"]["alpha"] == 0.34
    assert printed["shukor2025", "early 45-45-10 average"]["missing"] == ["A", "B"]


def test_a_law_that_does_not_exist_is_named_with_its_like(run):
    told = run("laws", "mixed_model")
    assert told.status == 1
    assert "Did you mean 'mixed_modal'" in told.err
    assert told.out == ""


def test_laws_are_listed_by_subject_within_the_width(run):
    told = run("laws").out
    assert told.index("size and data") < told.index("mixtures and modalities") < told.index("scores")
    assert max(map(len, told.splitlines())) <= 120
    assert set(bs.laws()["subject"]) >= {"size and data", "experts", "scores"}


def test_a_sound_table_passes_the_check(run, tables):
    told = run("runs", "check", tables / "good.csv", "--law", "chinchilla")
    assert told.status == 0
    assert told.err == ""
    assert "40 rows" in told.out
    known = run("runs", "check", tables / "good.csv", "--json").json
    assert known["usable"] is True
    assert known["rows"] == 40


def test_a_table_in_other_words_is_refused_with_the_mend(run, tables):
    told = run("runs", "check", tables / "theirs.csv")
    assert told.status == 1
    assert "error: " in told.out
    assert '{"loss": "value"}' in told.out
    assert "--rename theirs=ours" in told.out
    renamed = [
        word for pair in ("params=n_params", "tokens=n_tokens", "loss=value") for word in ("--rename", pair)
    ]
    assert run("runs", "check", tables / "theirs.csv", *renamed, "--law", "chinchilla").status == 0


def test_what_a_law_lacks_is_an_error_of_the_check(run, tables):
    told = run("runs", "check", tables / "good.csv", "--law", "data_constrained", "--json")
    assert told.status == 1
    assert told.json["usable"] is False
    errors = [f["message"] for f in told.json["findings"] if f["severity"] == "error"]
    assert len(errors) == 1
    assert "tokens_unique" in errors[0]


def test_findings_of_a_check_come_in_order_of_severity_and_once(run, tables, tmp_path):
    text = (tables / "good.csv").read_text().splitlines()
    (tmp_path / "twice.csv").write_text("\n".join([*text, text[5].replace("r04", "r99")]) + "\n")
    told = run("runs", "check", tmp_path / "twice.csv", "--law", "chinchilla", "--pool", "alpha=family")
    assert told.err == ""
    grades = [line.partition(":")[0] for line in told.out.splitlines()]
    grades = [grade for grade in grades if grade in ("error", "warning", "note")]
    assert "warning" in grades
    assert "note" in grades
    assert grades == sorted(grades, key=["error", "warning", "note"].index)
    assert told.out.count("r99") == 1


def test_studies_and_files_are_joined(run, tables):
    told = run(
        "runs", "check", "chinchilla-figure4", tables / "good.csv", "--law", "chinchilla", "--json"
    ).json
    assert told["rows"] == 245 + 40
    fewer = ("--exclude-flag", "authors_outlier", "--json")
    assert run("runs", "check", "chinchilla-figure4", *fewer).json["rows"] == 240


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["chinchila"], "Did you mean 'chinchilla-figure4'"),
        (["nowhere.csv"], "nowhere.csv"),
        (["folder/none"], "folder/none"),
        (["http://example.org/runs.csv"], "URL"),
        (["."], "folder"),
        (["chinchilla-figure4", "--rename", "a=b"], "--rename is for files"),
        (["chinchilla-figure4", "chinchilla-figure4"], "twice"),
        (["chinchilla-figure4", "--where", "flops <"], "condition"),
        (["chinchilla-figure4", "--where", "__import__('os')"], "condition"),
        (["chinchilla-figure4", "--exclude-flag", "none_such"], "none_such"),
        (["chinchilla-figure4", "--pool", "alpha=family"], "--law"),
        (["chinchilla-figure4", "--law", "chinchila"], "Did you mean 'chinchilla'"),
    ],
)
def test_a_check_of_what_cannot_be_read_says_why(run, words, says):
    told = run("runs", "check", *words)
    assert told.status == 1
    assert told.err == ""
    assert says in told.out
    assert "Traceback" not in told.out
