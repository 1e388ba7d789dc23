"""A progress bar for long work, silent where nobody watches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress"]


@contextmanager
def progress(what: str, total: int, shown: bool) -> Iterator[Callable[[int, str], None]]:
    """Give a function ``advance(steps, remark)``; draws a bar if `shown`."""
    if not shown:
        yield lambda steps, remark="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, remark="")
        yield lambda steps, remark="": bar.update(task, advance=steps, remark=remark)
