"""What the three source papers printed, beside what the package finds, with the reason where they differ.

uv run python benchmarks/papers.py            # writes docs/papers.md; some ten minutes
uv run python benchmarks/papers.py --quick    # without the fits that sample; writes nothing
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import papers_native_multimodal
import papers_token_space

import bayescale as bs
from bayescale.laws import Intercept, Slope
from bayescale.laws.elementwise import log

PROB = 0.9


@bs.law(inputs=("n_params", "n_tokens"))
def equal_slopes(n, d, *, k0: Intercept, k: Slope):
    """Bits per character, linear in the log of N D."""
    return k0 + k * (log(n) + log(d))


@bs.law(inputs=("n_params", "n_tokens"))
def own_slopes(n, d, *, k0: Intercept, k_n: Slope, k_d: Slope):
    """Bits per character, linear in log N and log D, each by itself."""
    return k0 + k_n * log(n) + k_d * log(d)


def compression() -> list[dict[str, Any]]:
    """Slopes of bits per character of public models; the paper's own coefficients were not printed."""
    frame = bs.load_runs("compression-bpc", all_rows=True).frame.dropna(subset=["n_params", "n_tokens"])
    keys = ["study", "family", "run_id"]
    mean = frame.groupby(keys, as_index=False)[["value", "n_params", "n_tokens"]].mean()
    tables = {"average": mean} | {
        str(k): v[[*keys, "value", "n_params", "n_tokens"]] for k, v in frame.groupby("eval_name")
    }
    found = []
    for corpus, table in tables.items():
        for law, letters in ((equal_slopes, ("k",)), (own_slopes, ("k_n", "k_d"))):
            study = bs.fit(
                table.assign(metric="bpc"),
                law,
                noise=bs.Normal(on="value"),
                discrepancy=None,
                random_seed=0,
                progressbar=False,
            )
            for letter in letters:
                middle, low, high = bs.intervals(study, prob=PROB)[letter].values * np.log(10)
                of = {"k": "log10 ND", "k_n": "log10 N", "k_d": "log10 D"}[letter]
                found.append(
                    {
                        "source": "after arXiv 2404.19484, runs of arXiv 2404.09937",
                        "quantity": f"bits per character per decade, {corpus}, of {of}",
                        "paper": None,
                        "ours_median": middle,
                        "ours_lower": low,
                        "ours_upper": high,
                        "why": "coefficients not found in print; sizes and tokens are nominal",
                    }
                )
    return found


def written(rows: list[dict[str, Any]]) -> str:
    """The table in Markdown."""
    lines = [
        "# The papers' figures and ours",
        "",
        "Written by `uv run python benchmarks/papers.py`. Medians and 90 % intervals. A paper's figure is empty where it "
        "printed none.",
        "",
        "| source | quantity | paper | ours | why they differ, or what ours is |",
        "|---|---|--:|--:|---|",
    ]
    for row in rows:
        paper = row["paper"]
        said = (
            ""
            if paper is None or (isinstance(paper, float) and np.isnan(paper))
            else f"{paper:.4g}"
            if isinstance(paper, int | float)
            else str(paper)
        )
        ours = f"{row['ours_median']:.3g} ({row['ours_lower']:.3g}, {row['ours_upper']:.3g})"
        cells = (row["source"], row["quantity"], said, ours, row["why"])
        lines.append("| " + " | ".join(str(c).replace("|", "/") for c in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Gather the rows and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="only what does not sample; print, write nothing"
    )
    asked = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bs.BayescaleWarning)
        rows = compression() + papers_token_space.rows(quick=asked.quick)
        if not asked.quick:
            rows += papers_native_multimodal.rows()
    text = written(rows)
    print(text)
    if not asked.quick:
        (Path(__file__).parents[1] / "docs" / "papers.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
