"""Bits per byte under standard compressors."""

import lzma

import numpy as np
import pytest

import bayescale as bs


def packed(paths, codecs=None, **how):
    return bs.codec_baseline(paths, codecs, progressbar=False, **how)


def test_text_is_packed_file_by_file(prose):
    found = packed(prose, "xz", modality="text").iloc[0]
    raw = [path.read_bytes() for path in sorted(prose.iterdir())]
    sizes = [len(lzma.compress(data, preset=6)) for data in raw]
    assert found["packed_bytes"] == sum(sizes)
    assert found["bits_per_byte"] == pytest.approx(8 * sum(sizes) / sum(map(len, raw)))
    assert found["files"] == len(raw)
    assert 0 < found["se"] < 1


def test_every_modality_has_its_own_compressors_and_the_general_ones(prose, pictures, sounds, film):
    found = packed([prose, pictures, sounds, film], material="all")
    by = found.groupby("modality")["codec"].agg(set)
    assert by["text"] == {"zstd", "xz"}
    assert by["image"] == {"zstd", "xz", "png", "webp"}
    assert by["audio"] == {"zstd", "xz", "flac"}
    assert by["video"] == {"zstd", "xz", "ffv1"}
    assert (found["bits_per_byte"] > 0).all()
    assert (found["bits_per_byte"] < 8.5).all()


def test_raw_bytes_are_those_of_the_measurements(pictures, sounds, film):
    for paths in (pictures, sounds, film):
        raw = bs.measure_compression(paths, progressbar=False).frame["raw"].iloc[0]
        assert set(packed(paths)["raw_bytes"]) == {int(raw)}


def test_noise_cannot_be_packed_and_silence_can(tmp_path):
    import soundfile

    rng = np.random.default_rng(0)
    (tmp_path / "noise").mkdir()
    (tmp_path / "quiet").mkdir()
    soundfile.write(tmp_path / "noise" / "a.wav", rng.integers(-32768, 32767, 40000, dtype=np.int16), 16000)
    soundfile.write(tmp_path / "quiet" / "a.wav", np.zeros(40000, dtype=np.int16), 16000)
    found = packed([tmp_path / "noise", tmp_path / "quiet"], "flac").set_index("material")
    assert found.loc["noise", "bits_per_byte"] > 7.9
    assert found.loc["quiet", "bits_per_byte"] < 0.1
    assert found["se"].isna().all()


def test_a_compressor_that_is_none_or_does_not_suit_is_refused(prose):
    with pytest.raises(bs.InputError, match="no compressor 'gzip'. There are: zstd, xz, png"):
        packed(prose, "gzip")
    with pytest.raises(bs.InputError, match="flac packs no text. For text: zstd, xz"):
        packed(prose, "flac", modality="text")


def test_a_file_that_cannot_be_decoded_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(bs.InputError, match=r"a\.png: cannot be decoded as an image"):
        packed(tmp_path)
