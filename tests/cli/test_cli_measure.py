"""The verb that measures files."""

import wave

import pytest

import bayescale as bs


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.txt").write_text(f"some words, number {i}\n" * 200)
    return folder


def test_measuring_prints_a_table(run, corpus):
    done = run("measure", corpus, "--tokenizer", "characters")
    assert done.status == 0
    assert "1 bytes" in done.out
    assert "corpus" in done.out


def test_json_holds_rows_that_are_read_back(run, corpus):
    done = run("measure", corpus, "--tokenizer", "bytes", "--tokenizer", "characters", "--codec", "--json")
    told = done.json
    assert {row["tokenizer"] for row in told["rows"]} == {"bytes", "characters"}
    assert told["rows"][0]["factor"] == 1
    assert {row["codec"] for row in told["codecs"]} == {"zstd", "xz"}
    assert len(bs.read_measurements(told["rows"])) == 2


def test_measurements_are_written_and_fitted_with_the_shipped_ones(run, tmp_path):
    with wave.open(str(tmp_path / "hum.wav"), "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(bytes(64000))
    out = tmp_path / "m.csv"
    done = run("measure", tmp_path / "hum.wav", "--tokenizer", "mimi", "--fit", "--json", "-o", out)
    assert done.status == 0, done.err
    mine = [row for row in done.json["factors"] if row["tokenizer"] == "mimi"]
    assert mine[0]["lower"] < mine[0]["median"] < mine[0]["upper"]
    assert len(bs.read_measurements(out)) == 1


def test_a_unit_of_its_own_is_counted(run, corpus):
    done = run("measure", corpus, "--raw-unit", "characters", "--json")
    assert done.json["rows"][0]["raw_unit"] == "characters"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "no file or folder nowhere"),
        (("corpus", "--tokenizer", "gpt3"), "there is no tokenizer 'gpt3'"),
        (("corpus", "--modality", "sound"), "must be one of text"),
        (("corpus", "--codec", "gzip"), "no compressor 'gzip'"),
        (("corpus", "--raw-unit", "pixels"), "cannot be counted in pixels"),
    ],
)
def test_faults_are_one_message_and_status_one(run, corpus, monkeypatch, words, said):
    monkeypatch.chdir(corpus.parent)
    done = run("measure", *words)
    assert done.status == 1
    assert said in done.err
    assert "Traceback" not in done.err
