"""Arguments that several commands take."""

import argparse
from typing import Any

from bayescale.cli.words import number, pair, pooled, prior, whole

__all__ = ["budget", "fitting", "held", "pool", "prob", "splitting", "study", "tables", "workers"]


def budget(text: str) -> float:
    """A number of operations; a file's name here most likely stands in the wrong place."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number such as 1e24 (the study comes before: allocate study.nc --flops 1e24)"
        ) from None


def study(verb: Any) -> None:
    """A saved study."""
    verb.add_argument("study", metavar="STUDY.nc", help="a study saved by 'bayescale fit' or bayescale.save")


def prob(verb: Any) -> None:
    """Mass of intervals."""
    verb.add_argument("--prob", type=number, default=0.9, help="mass of the intervals (default: %(default)s)")


def held(verb: Any, when: str = "") -> None:
    """How much of a study is held back; `when` says in which case that matters."""
    verb.add_argument(
        "--held",
        metavar="N",
        type=number,
        default=2,
        help=f"{when}number of largest budgets held back; below 1, a share of the rows "
        "(default: %(default)s)",
    )


def pool(verb: Any) -> None:
    """What varies over groups."""
    verb.add_argument(
        "--pool",
        metavar="LETTER=COLUMN",
        action="append",
        type=pooled,
        default=[],
        help="a parameter that varies over the groups of a column; a/b nests b in a, a,b crosses them; "
        "a column alone pools every parameter; offset=run_id lets checkpoints of one run lie off the law "
        "together, sigma=study scatter as their study does; repeat for more",
    )


def tables(verb: Any) -> None:
    """Where runs come from."""
    verb.add_argument(
        "sources", metavar="FILE_OR_STUDY", nargs="+", help="a table of runs, or a study of the catalogue"
    )
    verb.add_argument(
        "--rename",
        metavar="THEIRS=OURS",
        action="append",
        type=pair,
        default=[],
        help="a column of a file and our name for it; repeat for more",
    )
    verb.add_argument("--where", metavar="CONDITION", help="rows to keep, such as 'n_params >= 1e8'")
    verb.add_argument(
        "--exclude-flag",
        metavar="FLAG",
        action="append",
        default=[],
        help="leave out rows of a study that carry a flag; repeat for more",
    )
    verb.add_argument("--all-rows", action="store_true", help="all rows of a study, not its card's selection")
    verb.add_argument(
        "--metric", help="what a file's values measure, if it does not say (default: loss_nats)"
    )


def fitting(verb: Any) -> None:
    """How a fit is made."""
    verb.add_argument(
        "--law", default="chinchilla", help="a name from 'bayescale laws' (default: %(default)s)"
    )
    pool(verb)
    verb.add_argument(
        "--noise",
        help="student_t, normal, laplace, asymmetric_laplace, contaminated, logit_normal or beta",
    )
    verb.add_argument(
        "--discrepancy",
        default="auto",
        help="how the law may go wrong: drift, none (the law is exact), or auto (default: %(default)s)",
    )
    verb.add_argument(
        "--prior",
        metavar="NAME=LOW..HIGH",
        action="append",
        type=prior,
        default=[],
        help="bounds that hold 90 %% of a prior's mass, at the reference scales; repeat for more",
    )
    verb.add_argument(
        "--measurements",
        metavar="FILE",
        help="measured compression factors to join to those of the law, or 'shipped' (see 'measure')",
    )
    verb.add_argument("--engine", default="auto", help="auto, grouped, laplace, numpyro, nutpie or pymc")
    verb.add_argument("--draws", type=number, default=1000, help="kept from each chain (default: 1000)")
    verb.add_argument("--tune", type=number, default=1000, help="warm-up of each chain (default: 1000)")
    verb.add_argument("--chains", type=number, default=4, help="(default: 4)")
    verb.add_argument("--target-accept", type=number, default=0.9, help="of NUTS (default: %(default)s)")
    verb.add_argument("--seed", type=whole, help="of the fit; drawn and saved with the study if not given")


def splitting(verb: Any) -> None:
    """What is fitted and what is held back, and where refits run."""
    verb.add_argument(
        "--train", metavar="CONDITION", help="one split: runs to fit (default: 'flops <= 1e20')"
    )
    verb.add_argument(
        "--split",
        choices=("rolling", "leave-family-out", "few-runs"),
        help="many splits: budget by budget, one family left out, or a new family with few runs",
    )
    verb.add_argument(
        "--over",
        metavar="COLUMN",
        help="column to roll over (default: flops), or of groups (default: family)",
    )
    verb.add_argument(
        "--origins", metavar="N", type=whole, help="most budgets of --split rolling (default: 5)"
    )
    verb.add_argument(
        "--least", metavar="N", type=whole, help="fewest runs that --split rolling fits (default: 12)"
    )
    verb.add_argument(
        "--own",
        metavar="N",
        nargs="+",
        action="extend",
        type=whole,
        help="runs that the new family of --split few-runs has (default: 0 1 3 6)",
    )
    workers(verb)
    verb.add_argument(
        "--resume", metavar="FOLDER", help="keep finished refits there, and go on from those it has"
    )


def workers(verb: Any) -> None:
    """Where refits run."""
    verb.add_argument("--workers", metavar="N", type=whole, help="processes that refit (default: by need)")
