"""``python -m usecases.transforms.convert``: a picture in another format."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from usecases.console import complete_file, exit_code_of, parser_for
from usecases.transforms.console import TransformError

FORMATS = ("png", "tiff", "jpeg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Converts, and returns the exit code."""
    parser = parser_for(
        "transforms.convert", "Converts a picture; what it says of its making (EXIF, comments) is left behind."
    )
    parser.add_argument("--picture", type=Path, required=True, help="anything that Pillow reads")
    parser.add_argument("--format", choices=FORMATS, default="png", help="of the result")
    options = parser.parse_args(arguments)
    return exit_code_of("convert", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    with complete_file(options.output_dir / "converted" / f"{options.picture.stem}.{options.format}") as partial:
        convert(options.picture, partial, format_name=options.format)


def convert(source: Path, target: Path, *, format_name: str) -> None:
    """The target shows what the source shows. Raises TransformError when Pillow cannot read it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(source) as picture:
            shown = picture.convert("RGB") if format_name == "jpeg" else picture
            shown.info = {}
            shown.save(target, format=format_name.upper())
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise TransformError(f"{source}: it is no picture that can be read: {error}. Name another file") from error


if __name__ == "__main__":
    sys.exit(main())
