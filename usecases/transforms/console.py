"""What the transforms' command lines do alike beyond those of other use cases."""

from pathlib import Path

from usecases.console import ProgramError


class TransformError(ProgramError):
    """A transform failed on purpose."""


def unlike_names(paths: list[Path]) -> list[Path]:
    """The paths, in the order of their names. Raises TransformError when two files have one name."""
    names = [path.name for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TransformError(f"several files are called {', '.join(twice)}. Give each a name of its own")
    return sorted(paths, key=lambda path: path.name)
