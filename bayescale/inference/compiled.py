"""A folder where JAX keeps what it compiled, so that the next process starts sooner."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["compiled_before"]


@contextmanager
def compiled_before() -> Iterator[None]:
    """Let JAX read and write its compilation cache; its settings are afterwards as they were.

    The folder is ``bayescale/jax`` in the user's cache folder, or in ``$BAYESCALE_CACHE``; an empty
    ``BAYESCALE_CACHE`` turns it off. Where it cannot be written, nothing is kept.
    """
    import jax

    folder = _folder()
    if folder is None or jax.config.jax_compilation_cache_dir:
        yield
        return
    wanted = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.5,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in wanted}
    try:
        for name, value in wanted.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def _folder() -> Path | None:
    chosen = os.environ.get("BAYESCALE_CACHE")
    if chosen == "":
        return None
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = (Path(chosen) if chosen else home / "bayescale") / "jax"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None
