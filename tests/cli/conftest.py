import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bayescale as bs
from bayescale.cli.main import main
from bayescale.testing import synthetic_posterior


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def command(*words: Any) -> Outcome:
        status = main([str(word) for word in words])
        told = capsys.readouterr()
        return Outcome(status, told.out, told.err)

    return command


def pooled(*groups: str) -> Any:
    """A study in which alpha varies over families, with each family's effect as a fit keeps it."""
    post = synthetic_posterior("chinchilla", groups=groups)
    draws = post["posterior"].to_dataset()
    if "alpha_offset_family" not in draws:
        effect = np.log(draws["alpha"] / draws["alpha_population"]) / draws["alpha_sd_family"]
        post["posterior"] = draws.assign(alpha_offset_family=effect)
    return post


@pytest.fixture
def pooled_over() -> Callable[..., Any]:
    return pooled


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with saved studies that no sampler made."""
    folder = tmp_path_factory.mktemp("studies")
    bs.save(synthetic_posterior("chinchilla"), folder / "flat.nc")
    bs.save(pooled("llama", "pythia", "olmo"), folder / "pooled.nc")
    bs.save(synthetic_posterior("power_compute"), folder / "compute.nc")
    return folder


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run tables and scales: good, in other words, and bad."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(1)
    rows = []
    for i in range(40):
        n, d = 10 ** rng.uniform(7.5, 10), 10 ** rng.uniform(9, 11.5)
        value = (1.8 + 0.36 * (n / 1e9) ** -0.35 + 0.45 * (d / 1e10) ** -0.37) * np.exp(rng.normal(0, 0.005))
        rows.append(f"r{i:02d},{('llama', 'pythia')[i % 2]},{n:.6g},{d:.6g},{value:.6f}")
    body = "\n".join(rows) + "\n"
    (folder / "good.csv").write_text("run_id,family,n_params,n_tokens,value\n" + body)
    (folder / "theirs.csv").write_text("run_id,family,params,tokens,loss\n" + body)
    (folder / "words.csv").write_text(
        "run_id,family,n_params,n_tokens,value\n" + body.replace("r00,llama,", "r00,llama,x")
    )
    (folder / "scales.csv").write_text("n_params,n_tokens,name\n7e9,2e11,seven\n2e9,4e10,two\n")
    (folder / "narrow.csv").write_text("n_params\n7e9\n")
    return folder
