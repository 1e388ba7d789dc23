"""What may be typed: verbs, their arguments, and an example of each."""

import argparse
from collections.abc import Sequence
from typing import Any

from bayescale.cli import arguments
from bayescale.cli.words import number, pair, whole

__all__ = ["parse", "parser"]

_EXAMPLES = """examples:
  bayescale demo                                         the main job on shipped real runs
  bayescale runs list                                    studies that come with the package
  bayescale fit mine.csv --law chinchilla -o study.nc    a posterior from a table of your own
  bayescale intervals study.nc                           what was learnt
  bayescale allocate study.nc --flops 1e24               how to spend a budget

status: 0 success, 1 a fault (one message on standard error), 2 wrong usage.
With --json a command prints one JSON value on standard output, and nothing else there."""


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """What was typed; words that no option takes are refused with the usage of their own command."""
    given, left = parser().parse_known_args(words)
    if left:
        given.leaf.error(f"unrecognized arguments: {' '.join(left)}")
    return given


def parser() -> argparse.ArgumentParser:
    """The parser of ``bayescale``; a leaf sets ``verb``, the module and function that do the work."""
    top = argparse.ArgumentParser(
        prog="bayescale",
        description="Hierarchical Bayesian models of neural scaling laws.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action=_Version, help="print the version and stop")
    verbs = top.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    _demo(verbs)
    _runs(verbs)
    _laws(verbs)
    _fit(verbs)
    _backtest(verbs)
    _questions(verbs)
    _ahead(verbs)
    _measure(verbs)
    return top


class _Version(argparse.Action):
    """Print the version, which takes a while to find out and so is not looked up before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, nargs=0, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        from importlib.metadata import version

        print(f"bayescale {version('bayescale')}")
        parser.exit()


def _verb(verbs: Any, name: str, work: tuple[str, str], what: str, examples: str, **more: Any) -> Any:
    """A command with its one-line description, examples below, and ``--json``."""
    found = verbs.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **more,
    )
    found.set_defaults(verb=work, leaf=found)
    if name != "demo":
        found.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return found


def _demo(verbs: Any) -> None:
    verb = _verb(verbs, "demo", ("fits", "demo"), "the main job on shipped real runs", "bayescale demo")
    verb.add_argument("--folder", default="bayescale-demo", help="where to write (default: %(default)s)")
    verb.add_argument("--seed", type=whole, default=0, help="of every random step (default: %(default)s)")


def _runs(verbs: Any) -> None:
    runs = verbs.add_parser(
        "runs", help="published studies and tables of your own", description="Tables of training runs."
    )
    inner = runs.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    _verb(inner, "list", ("catalogue", "list_studies"), "the studies of the catalogue", "bayescale runs list")
    verb = _verb(
        inner,
        "show",
        ("catalogue", "show_study"),
        "the card of a study and its first rows",
        "bayescale runs show datablations --rows 10",
    )
    verb.add_argument("study", metavar="STUDY", help="a name from 'bayescale runs list'")
    verb.add_argument("--rows", type=whole, default=5, help="rows to show (default: %(default)s)")
    verb = _verb(
        inner,
        "check",
        ("catalogue", "check"),
        "what is wrong with a table or may mislead; status 1 if it cannot be used",
        "bayescale runs check mine.csv --law chinchilla\n"
        "bayescale runs check mine.csv --rename loss=value --rename params=n_params",
    )
    arguments.tables(verb)
    verb.add_argument("--law", help="also check what this law needs")
    arguments.pool(verb)


def _laws(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "laws",
        ("laws", "laws"),
        "laws by subject, or all that is known of one",
        "bayescale laws\nbayescale laws mixed_modal\nbayescale laws chinchilla --json",
    )
    verb.add_argument("name", metavar="NAME", nargs="?", help="a law, to be told in full")


def _fit(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "fit",
        ("fits", "fit"),
        "the posterior of a law given runs",
        "bayescale fit mine.csv -o study.nc\n"
        "bayescale fit gadre-overtraining --pool alpha=family --pool E=family --seed 0 -o study.nc\n"
        "bayescale fit mine.csv --rename loss=value --where 'n_params >= 1e8' --prior alpha=0.1..0.6",
    )
    arguments.tables(verb)
    arguments.fitting(verb)
    verb.add_argument("-o", "--output", metavar="STUDY.nc", help="where to save the study (.nc or .zarr)")
    arguments.prob(verb)


def _backtest(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "backtest",
        ("backtests", "backtest"),
        "fit some runs and score predictions of the others, once or again and again",
        "bayescale backtest chinchilla-figure4 --train 'flops <= 1e21'\n"
        "bayescale backtest mine.csv --law kaplan --train 'n_params <= 1e9' --json\n"
        "bayescale backtest porian-isoflop --split rolling --seed 0 --resume done\n"
        "bayescale backtest mine.csv --split leave-family-out --over study --pool E=study\n"
        "bayescale backtest mine.csv --split few-runs --own 0 1 3 --workers 4",
    )
    arguments.tables(verb)
    arguments.fitting(verb)
    arguments.splitting(verb)
    arguments.prob(verb)


def _questions(verbs: Any) -> None:
    """The verbs that ask a saved study."""
    verb = _verb(
        verbs,
        "show",
        ("questions", "describe"),
        "what a study is, whether its draws are sound, and what was learnt",
        "bayescale show study.nc",
        aliases=["summary"],
    )
    arguments.study(verb)
    arguments.prob(verb)
    verb = _verb(
        verbs,
        "intervals",
        ("questions", "intervals"),
        "intervals of every parameter and of what follows from them",
        "bayescale intervals study.nc --prob 0.5",
    )
    arguments.study(verb)
    arguments.prob(verb)
    verb = _verb(
        verbs,
        "predict",
        ("questions", "predict"),
        "values expected at new scales",
        "bayescale predict study.nc scales.csv\n"
        "bayescale predict study.nc scales.csv --kind curve --prob 0.5 --json\n"
        "(scales.csv has the columns that the law reads, such as n_params and n_tokens, and the groups)",
    )
    arguments.study(verb)
    verb.add_argument("scales", metavar="SCALES.csv", help="one row for each scale, in raw units")
    verb.add_argument(
        "--kind",
        choices=("run", "curve"),
        default="run",
        help="one more run with its scatter, or the law itself (default: %(default)s)",
    )
    verb.add_argument(
        "--seed", type=whole, default=0, help="of scatter and new groups (default: %(default)s)"
    )
    arguments.prob(verb)
    verb = _verb(
        verbs,
        "allocate",
        ("questions", "allocate"),
        "the best size and data for budgets of compute",
        "bayescale allocate study.nc --flops 1e24\n"
        "bayescale allocate study.nc --flops 1e22 1e24 --group family=llama --within 0.005 --json",
    )
    arguments.study(verb)
    verb.add_argument(
        "--flops",
        metavar="C",
        nargs="+",
        action="extend",
        type=arguments.budget,
        required=True,
        help="budgets, C = 6ND",
    )
    verb.add_argument(
        "--group", metavar="COLUMN=NAME", action="append", type=pair, default=[], help="group to decide for"
    )
    verb.add_argument(
        "--given",
        metavar="COLUMN=NUMBER",
        action="append",
        type=pair,
        default=[],
        help="value of another input of the law",
    )
    verb.add_argument(
        "--within", type=number, default=0.01, help="share above the best that is near enough (default: 0.01)"
    )
    verb.add_argument("--seed", type=whole, default=0, help="of new groups (default: %(default)s)")
    arguments.prob(verb)
    verb = _verb(
        verbs,
        "exchange",
        ("questions", "exchange"),
        "data that make up for a smaller model",
        "bayescale exchange study.nc --at n_params=7e9 --at n_tokens=2e12 --params-factor 0.5\n"
        "bayescale exchange study.nc --at n_params=7e9 --at bytes_text=4e12 --memory-gb 4 --json",
    )
    arguments.study(verb)
    verb.add_argument(
        "--at",
        metavar="COLUMN=VALUE",
        action="append",
        type=pair,
        required=True,
        help="the run to be matched: an input of the law or a group; repeat for more",
    )
    verb.add_argument("--params-factor", type=number, help="new size over that of the run")
    verb.add_argument("--params-cap", type=number, help="most parameters allowed")
    verb.add_argument("--memory-gb", type=number, help="memory for the weights, in 10^9 bytes")
    verb.add_argument("--bytes-per-param", type=number, default=2.0, help="(default: %(default)s)")
    verb.add_argument("--seed", type=whole, default=0, help="of new groups (default: %(default)s)")
    arguments.prob(verb)
    verb = _verb(
        verbs,
        "compare",
        ("questions", "compare"),
        "studies of the same runs, ranked by the log density of runs left out",
        "bayescale compare chinchilla.nc kaplan.nc\n"
        "bayescale compare chinchilla.nc kaplan.nc --criterion future --held 2 --json\n"
        "bayescale compare pooled.nc alone.nc --by family\n"
        "bayescale compare chinchilla.nc kaplan.nc --criterion evidence",
    )
    verb.add_argument("studies", metavar="STUDY.nc", nargs="+", help="two or more saved studies")
    verb.add_argument(
        "--criterion",
        choices=("loo", "future", "evidence"),
        default="loo",
        help="each run given all others; the largest budgets given those below; all values given the priors "
        "(default: %(default)s)",
    )
    verb.add_argument(
        "--by", metavar="COLUMN", help="leave whole groups out, such as family, by exact refits"
    )
    verb.add_argument(
        "--refit", action="store_true", help="fit again without each run whose density is not to be trusted"
    )
    arguments.held(verb, "with future: ")
    arguments.workers(verb)
    verb.add_argument("--seed", type=whole, default=0, help="of the evidences (default: %(default)s)")
    verb = _verb(
        verbs,
        "evidence",
        ("questions", "evidence"),
        "log marginal likelihood of a study, and what it hangs on",
        "bayescale evidence study.nc\nbayescale evidence study.nc --json",
    )
    arguments.study(verb)
    verb.add_argument("--seed", type=whole, default=0, help="of the bridge (default: %(default)s)")
    verb = _verb(
        verbs,
        "identify",
        ("questions", "identify"),
        "which parameters the runs determine and which their priors lead",
        "bayescale identify study.nc",
    )
    arguments.study(verb)


def _ahead(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "check-extrapolation",
        ("ahead", "check"),
        "whether the smaller runs of a study foretell its largest",
        "bayescale check-extrapolation study.nc\n"
        "bayescale check-extrapolation study.nc --held 1 --at n_params=7e10 --at n_tokens=1.4e12 --json",
    )
    arguments.study(verb)
    arguments.held(verb)
    verb.add_argument(
        "--at",
        metavar="COLUMN=VALUE",
        action="append",
        type=pair,
        default=[],
        help="scale at which the law shall be asked later; repeat for its other inputs",
    )
    arguments.prob(verb)
    verb = _verb(
        verbs,
        "average",
        ("ahead", "average"),
        "several laws of the same runs as one prediction, weighted by how they foretold the largest runs",
        "bayescale average chinchilla.nc kaplan.nc -o both.nc\n"
        "bayescale average chinchilla.nc kaplan.nc --weights loo -o both.nc --json\n"
        "bayescale allocate both.nc --flops 1e24",
    )
    verb.add_argument("studies", metavar="STUDY.nc", nargs="+", help="two or more saved studies")
    verb.add_argument(
        "--weights",
        choices=("ahead", "loo"),
        default="ahead",
        help="by the largest runs given those below, or by each run given all others (default: %(default)s)",
    )
    arguments.held(verb)
    arguments.workers(verb)
    verb.add_argument("-o", "--output", metavar="FILE.nc", help="where to save the average")


def _measure(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "measure",
        ("measuring", "measure"),
        "raw bytes per token of your own files, and what standard compressors make of them",
        "bayescale measure corpus/ --tokenizer my_model/tokenizer.json --tokenizer characters\n"
        "bayescale measure photos/ --tokenizer patch14-336 --codec\n"
        "bayescale measure speech.wav --tokenizer mimi --json\n"
        "bayescale measure corpus/ --tokenizer my_model/tokenizer.json --fit -o measured.csv",
    )
    verb.add_argument(
        "paths", metavar="PATH", nargs="+", help="files, or folders to walk; each is a material"
    )
    verb.add_argument(
        "--tokenizer",
        metavar="FILE|NAME",
        action="append",
        help="a tokenizer.json; bytes, characters or an encoding of tiktoken; patch16-224, "
        "tubelet2x16-224@16f, 75hzx8 and their like; mimi and other names; repeat for more",
    )
    verb.add_argument("--modality", metavar="M", help="text, audio, image or video: these files only")
    verb.add_argument("--raw-unit", metavar="U", default="bytes", help="bytes, characters, seconds or pixels")
    verb.add_argument("--material", metavar="NAME", help="what the files are, all counted as one")
    verb.add_argument(
        "--codec",
        metavar="NAME",
        nargs="?",
        const="all",
        action="append",
        help="also bits per byte under lossless compressors: all that suit, or one; repeat for more",
    )
    verb.add_argument(
        "--fit", action="store_true", help="also where these tokenizers stand among the shipped measurements"
    )
    verb.add_argument("-o", "--output", metavar="FILE.csv", help="where to write the measurements")
    verb.add_argument("--seed", type=whole, default=0, help="of the bootstrap (default: %(default)s)")
    arguments.prob(verb)
