from pathlib import Path

import numpy as np
import pytest

WORDS = ("alpha", "scaling", "of", "tokens", "the", "compression", "a", "measure", "law", "runs")


@pytest.fixture(scope="session")
def prose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten files of made-up text, some of it not ASCII."""
    folder, rng = tmp_path_factory.mktemp("prose"), np.random.default_rng(0)
    for i in range(10):
        words = rng.choice(WORDS, 4000)
        lines = "\n".join(" ".join(words[j : j + 10]) + " é" * (i % 3) for j in range(0, 4000, 10))
        (folder / f"{i}.txt").write_text(lines, encoding="utf-8", newline="")
    return folder


@pytest.fixture(scope="session")
def trained(prose: Path) -> Path:
    """A tokenizer.json trained on that text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, show_progress=False, initial_alphabet=alphabet)
    made.train([str(path) for path in prose.glob("*.txt")], trainer)
    made.enable_truncation(5)
    made.enable_padding(length=5)
    made.save(str(prose / "tokenizer.json"))
    return prose / "tokenizer.json"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images of different sizes, in three formats."""
    from PIL import Image

    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(1)
    for name, (height, width) in {"a.png": (48, 64), "b.jpg": (100, 40), "c.webp": (33, 33)}.items():
        wave = 120 + 100 * np.sin(np.arange(width) / 7)[None, :, None] * np.ones((height, 1, 3))
        Image.fromarray((wave + rng.normal(0, 2, wave.shape)).clip(0, 255).astype("uint8")).save(
            folder / name
        )
    return folder


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mono WAV of two seconds and a stereo FLAC of one and a half, at different rates."""
    import soundfile

    folder = tmp_path_factory.mktemp("sounds")
    soundfile.write(folder / "mono.wav", np.sin(np.arange(32000) / 9) * 0.5, 16000)
    both = np.stack([np.sin(np.arange(36000) / k) * 0.3 for k in (8, 11)], axis=1)
    soundfile.write(folder / "stereo.flac", both, 24000)
    return folder


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 25 frames, 64 by 48, ten a second."""
    import av

    path, rng = tmp_path_factory.mktemp("film") / "film.mp4", np.random.default_rng(2)
    still = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(still, i, 1), format="rgb24")))
        container.mux(stream.encode(None))
    return path
