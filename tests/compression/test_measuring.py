"""Measuring real files: what is counted, with which error, and what is refused."""

import re

import numpy as np
import pytest

import bayescale as bs
from bayescale.compression.measure import ratio_error
from bayescale.compression.media import BLOCK, read_text


def measured(paths, tokenizer=None, **how):
    return bs.measure_compression(paths, tokenizer, progressbar=False, **how)


def row(paths, tokenizer=None, **how):
    frame = measured(paths, tokenizer, **how).frame
    assert len(frame) == 1
    return frame.iloc[0]


def refused(*given, **how):
    with pytest.raises(bs.InputError) as caught:
        measured(*given, **how)
    return str(caught.value)


def test_bytes_and_characters_are_counted_exactly(prose):
    whole = b"".join(path.read_bytes() for path in prose.glob("*.txt"))
    frame = measured(prose, ["bytes", "characters"], modality="text", material="p").frame
    frame = frame.set_index("tokenizer")
    texts = [path for path in prose.iterdir() if path.suffix == ".json"]
    extra = sum(path.stat().st_size for path in texts)
    assert frame["raw"].tolist() == [len(whole) + extra] * 2
    assert frame.loc["bytes", "tokens"] == len(whole) + extra
    assert frame.loc["bytes", "log_factor"] == 0
    assert frame.loc["characters", "tokens"] == sum(
        len(path.read_text(encoding="utf-8")) for path in prose.iterdir()
    )


def test_blocks_of_a_text_are_the_text(prose, tmp_path):
    path = tmp_path / "long.txt"
    path.write_text(
        "one line without an end " * 3000 + "x" * 30000 + "é\r\n" * 9000, encoding="utf-8", newline=""
    )
    blocks = list(read_text(path))
    assert "".join(b.text for b in blocks).encode() == path.read_bytes()
    assert sum(b.sizes["bytes"] for b in blocks) == path.stat().st_size
    assert max(len(b.text) for b in blocks) <= 2 * BLOCK
    assert len(blocks) > 20


def test_a_tokenizer_file_is_used_without_its_padding_cut_or_special_tokens(prose, trained):
    from tokenizers import Tokenizer

    path = prose / "1.txt"
    plain = Tokenizer.from_file(str(trained))
    plain.no_truncation()
    plain.no_padding()
    whole = len(plain.encode(path.read_text(encoding="utf-8")).ids)
    found = row(path, trained)
    assert found["tokenizer"] == "tokenizer"
    assert found["tokens"] == pytest.approx(whole, rel=1e-3)
    assert found["unknown_fraction"] == 0
    assert 1 < np.exp(found["log_factor"]) < 12


def test_objects_of_both_packages_and_functions_are_tokenizers(prose, trained):
    import tiktoken
    from tokenizers import Tokenizer

    ranks = {bytes([i]): i for i in range(256)} | {b"of": 256}
    own = tiktoken.Encoding("own", pat_str=r"\w+|\s|.", mergeable_ranks=ranks, special_tokens={})
    given = {
        "file": Tokenizer.from_file(str(trained)),
        "words": lambda text: re.findall(r"\S+", text),
        "count": lambda text: text.count(" ") + 1,
        "tik": own,
    }
    frame = measured(prose / "1.txt", given).frame.set_index("tokenizer")
    assert list(frame.index) == list(given)
    assert frame.loc["words", "tokens"] == len((prose / "1.txt").read_text(encoding="utf-8").split())
    text = (prose / "1.txt").read_text(encoding="utf-8")
    assert frame.loc["tik", "tokens"] == len(own.encode_ordinary(text))


def test_a_tokenizer_that_cannot_write_the_material_is_warned_about(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"[UNK]": 0, "of": 1}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    (tmp_path / "a.txt").write_text("of all the words of it\n" * 50)
    with pytest.warns(bs.BayescaleWarning, match="66.7% of the tokens of 'words'"):
        table = measured(tmp_path / "a.txt", {"words": made})
    assert table.frame["unknown_fraction"].iloc[0] == pytest.approx(4 / 6)


def test_each_path_is_a_material_unless_one_name_is_given(prose):
    paths = [prose / "0.txt", prose / "1.txt"]
    assert list(measured(paths).frame["material"]) == ["0", "1"]
    assert list(measured(paths, material="both").frame["material"]) == ["both"]


def test_images_count_decoded_pixels_and_the_patch_grid(pictures):
    pixels = 48 * 64 + 100 * 40 + 33 * 33
    found = row(pictures, "patch16-224")
    assert (found["raw"], found["tokens"]) == (3 * pixels, 3 * 14 * 14)
    assert found["file_bytes"] == sum(path.stat().st_size for path in pictures.iterdir())
    own = row(pictures, "patch16")
    assert own["tokens"] == 3 * 4 + 7 * 3 + 3 * 3
    assert row(pictures, "patch16", raw_unit="pixels")["raw"] == pixels
    assert row(pictures / "b.jpg", "patch10-50-longest")["tokens"] == 5 * 2
    assert row(pictures / "a.png", "patch8-64-merge2")["tokens"] == 16


def test_sounds_count_samples_and_codes(sounds):
    found = row(sounds, "75hzx8")
    assert found["raw"] == 2 * (32000 + 2 * 36000)
    assert found["tokens"] == (150 + 113) * 8
    assert row(sounds, "mimi", raw_unit="seconds")["raw"] == pytest.approx(3.5)
    assert row(sounds / "mono.wav", "mimi")["tokens"] == 25 * 8


def test_video_counts_every_frame_and_the_tubelets(film):
    found = row(film, "tubelet2x16-32")
    assert found["raw"] == 25 * 64 * 48 * 3
    assert found["tokens"] == 13 * 4
    assert row(film, "tubelet2x16-32@8f")["tokens"] == 4 * 4
    assert row(film, "tubelet1x16@2fps")["tokens"] == 5 * 4 * 3
    assert row(film, "videomae-b", raw_unit="seconds")["raw"] == pytest.approx(2.5)


def test_a_folder_of_many_kinds_is_measured_by_kind(prose, pictures, sounds, film):
    table = measured([prose, pictures, sounds, film], material="all")
    assert table.modalities == ("text", "audio", "image", "video")
    assert set(table.units.values()) == {"bytes"}
    only = measured([prose, sounds], ["bytes", "mimi"], material="all")
    assert only.modalities == ("text", "audio")


def test_measurements_join_the_shipped_ones_and_are_fitted(sounds):
    both = bs.load_measurements(where="modality == audio") + measured(sounds, ["mimi", "75hzx8"])
    post = bs.fit_compression(both, draws=200)
    found = bs.predict_compression(post, modality="audio", tokenizer="mimi", material=str(sounds.name))
    assert found["basis"].item() == "measured"


def test_the_bootstrap_agrees_with_the_delta_method():
    rng = np.random.default_rng(0)
    tokens = rng.poisson(1000, 400).astype(float)
    raw = tokens * rng.normal(4, 0.4, 400)
    ratio = raw.sum() / tokens.sum()
    delta = np.std(raw - ratio * tokens, ddof=1) * np.sqrt(400) / raw.sum()
    assert ratio_error(raw, tokens, 0) == pytest.approx(delta, rel=0.1)
    assert ratio_error(raw[:1], tokens[:1], 0) == 0
    assert ratio_error(np.tile(raw, 30), np.tile(tokens, 30), 0) == pytest.approx(delta / 30**0.5, rel=0.15)


def test_one_part_alone_has_no_error_and_says_so(pictures):
    table = measured(pictures / "a.png")
    assert table.frame["se_log"].iloc[0] == 0
    assert table.findings[0].code == "no-sampling-error"


def test_files_are_resampled_whole_where_there_are_eight(prose):
    frame = measured([prose / f"{i}.txt" for i in range(7)], "characters", material="p").frame
    assert frame["parts"].iloc[0] > 20
    frame = measured([prose / f"{i}.txt" for i in range(8)], "characters", material="p").frame
    assert frame["parts"].iloc[0] == 8


def test_every_file_that_cannot_be_read_is_named_and_nothing_is_measured(tmp_path, pictures, sounds, film):
    (tmp_path / "a.txt").write_text("fine")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "null.txt").write_bytes(b"a\0b")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "cut.png").write_bytes((pictures / "a.png").read_bytes()[:600])
    (tmp_path / "cut.flac").write_bytes((sounds / "stereo.flac").read_bytes()[:2000])
    (tmp_path / "no.mp4").write_bytes(b"no video at all")
    told = refused(tmp_path)
    assert told.startswith("5 of 7 files cannot be measured")
    for name in (
        "latin.txt: is not UTF-8 (byte 0xe9)",
        "null.txt: holds null",
        "cut.png",
    ):
        assert name in told
    assert "cut.flac" in told
    assert "no.mp4: cannot be decoded as video" in told
    assert "a.txt" not in told


def test_empty_texts_among_others_add_nothing_and_alone_are_refused(tmp_path):
    for i in range(10):
        (tmp_path / f"{i}.txt").write_text("" if i in (0, 4, 9) else f"number {i}\n")
    found = row(tmp_path, "bytes")
    assert (found["raw"], found["files"], found["parts"]) == (7 * 9, 7, 7)
    assert bs.codec_baseline(tmp_path, "xz", progressbar=False)["files"].tolist() == [7]
    assert "'0' is empty: a raw size of zero" in refused(tmp_path / "0.txt")
    with pytest.raises(bs.InputError, match="'0' is empty"):
        bs.codec_baseline(tmp_path / "0.txt", "xz", progressbar=False)


def test_an_image_that_moves_is_video(tmp_path):
    from PIL import Image

    stills = [Image.new("RGB", (16, 16), (i * 60, 0, 0)) for i in range(3)]
    stills[0].save(tmp_path / "m.gif", save_all=True, append_images=stills[1:])
    assert "moves (3 frames)" in refused(tmp_path / "m.gif", modality="image")
    assert row(tmp_path / "m.gif", "tubelet1x16")["tokens"] == 3


@pytest.mark.parametrize(
    ("tokenizer", "said"),
    [
        ("cl100k_bas", "Did you mean 'cl100k_base'"),
        ("org/model", "nothing is downloaded here"),
        ("patch0-224", "a size that cannot be"),
        ("patch32-16", "a size that cannot be"),
        ("tubelet0x16", "a size that cannot be"),
        ("0hzx4", "a size that cannot be"),
        ("mimi", "is for audio, but the files are text"),
        ("nowhere/tokenizer.json", "there is no tokenizer file"),
        (3.5, "got builtins.float"),
        ([], "no tokenizer was given"),
        (["bytes", "bytes"], "two tokenizers are called 'bytes'"),
        ({"f": lambda text: None}, "'f' returned None"),
    ],
)
def test_a_tokenizer_that_is_none_is_refused(prose, tokenizer, said):
    assert said in refused(prose / "0.txt", tokenizer)


def test_a_file_that_is_no_tokenizer_is_refused(prose):
    assert "cannot be read as a tokenizer.json" in refused(prose / "0.txt", str(prose / "1.txt"))


def test_an_encoding_that_is_not_in_the_cache_is_not_downloaded(prose, monkeypatch, tmp_path):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert "nothing is downloaded here" in refused(prose / "0.txt", "p50k_edit")


@pytest.mark.parametrize(
    ("paths", "how", "said"),
    [
        ("https://example.org/a.txt", {}, "is a URL"),
        ("nowhere", {}, "no file or folder nowhere"),
        ([], {}, "no path was given"),
        (7, {}, "no path was given"),
        ([7], {}, "got int"),
    ],
)
def test_paths_that_lead_nowhere_are_refused(paths, how, said):
    assert said in refused(paths, **how)


def test_what_is_no_regular_file_is_left_alone(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.txt")
    assert "neither a regular file nor a folder" in refused(tmp_path / "pipe.txt")
    (tmp_path / "a.txt").write_text("words")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / ".hidden.txt").write_text("not this")
    assert row(tmp_path, "bytes")["raw"] == 5


def test_bad_arguments_are_refused(prose, sounds, tmp_path):
    assert "Did you mean 'video'?" in refused(prose, modality="vidio")
    assert "must be one of bytes" in refused(prose, raw_unit="bit")
    assert "text cannot be counted in pixels" in refused(prose, raw_unit="pixels")
    assert "given twice" in refused([prose / "0.txt", prose / "0.txt"], material="x")
    (tmp_path / "thing.xyz").write_text("words")
    assert "modality='text'" in refused(tmp_path / "thing.xyz")
    assert "can be measured: none ends in" in refused(tmp_path)
    assert row(tmp_path / "thing.xyz", modality="text")["tokens"] == 5
    assert "is for text, but the files are audio" in refused(sounds / "mono.wav", "bytes")


def test_a_package_that_is_missing_is_named_with_the_way_to_get_it(monkeypatch, pictures):
    import sys

    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    assert "needs the package" in refused(pictures)
    assert "bayescale[measure]" in refused(pictures)
