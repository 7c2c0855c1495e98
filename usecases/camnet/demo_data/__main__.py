"""``python -m usecases.camnet.demo_data``: invented slides with annotations, to try the layers with."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from usecases.camnet.annotations import Region
from usecases.camnet.console import Progress, integer_from
from usecases.camnet.demo_data.anatomy import draw_anatomy
from usecases.camnet.demo_data.painting import paint
from usecases.camnet.demo_data.pyramid import save_pyramid
from usecases.camnet.outputs import save_text
from usecases.camnet.slides import PATIENTS_PER_CENTRE
from usecases.console import complete_file, exit_code_of

MPP_UM = 0.5  # the scale at which the nuclei are drawn
FIRST_PATIENT = 4
NODES = (4, 1, 2, 3, 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws the slides and returns the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of("demo_data", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m usecases.camnet.demo_data",
        description="Draws invented H&E slides as pyramidal BigTIFF; every second one is healthy, without annotation.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the .tif and .xml files; made if absent")
    parser.add_argument("--slides", type=integer_from(1), default=2, help="number of slides")
    parser.add_argument("--size", type=integer_from(1024), default=6144, help="pixels a side, rounded down to 256s")
    parser.add_argument("--seed", type=integer_from(0), default=7, help="equal seeds draw equal slides")
    return parser


def _run(options: argparse.Namespace) -> None:
    progress = Progress("demo_data", total=options.slides, interval_s=0)
    for index in range(options.slides):
        started = time.perf_counter()
        name = _save_slide(options.output, index=index, side=options.size // 256 * 256, seed=options.seed)
        progress.show(index + 1, f"{name} in {time.perf_counter() - started:.1f} s")


def slide_name(index: int) -> str:
    """Returns a name in Camelyon17's manner; each slide is of another centre.

    >>> slide_name(0), slide_name(1)
    ('patient_004_node_4', 'patient_024_node_1')
    """
    return f"patient_{FIRST_PATIENT + PATIENTS_PER_CENTRE * index:03d}_node_{NODES[index % len(NODES)]}"


def _save_slide(folder: Path, *, index: int, side: int, seed: int) -> str:
    generator = np.random.default_rng((seed, index))
    anatomy = draw_anatomy(generator, side=side, tumour=index % 2 == 0)
    path = folder / f"{slide_name(index)}.tif"
    with complete_file(path) as partial:
        save_pyramid(partial, paint(generator, anatomy), mpp_um=MPP_UM)
    if anatomy.outlines:
        save_text(path.with_suffix(".xml"), render_asap(anatomy.outlines))
    return path.name


def render_asap(regions: Sequence[Region]) -> str:
    """Returns the regions as an ASAP annotation file."""
    groups = sorted({region.group for region in regions})
    lines = ['<?xml version="1.0"?>', "<ASAP_Annotations>", "\t<Annotations>"]
    for region in regions:
        name, group = quoteattr(region.name), quoteattr(region.group)
        lines.append(f'\t\t<Annotation Name={name} Type="Polygon" PartOfGroup={group} Color="#F4FA58">')
        lines.append("\t\t\t<Coordinates>")
        lines += [f'\t\t\t\t<Coordinate Order="{n}" X="{x}" Y="{y}" />' for n, (x, y) in enumerate(region.vertices)]
        lines += ["\t\t\t</Coordinates>", "\t\t</Annotation>"]
    lines += ["\t</Annotations>", "\t<AnnotationGroups>"]
    for name in groups:
        lines.append(f'\t\t<Group Name={quoteattr(name)} PartOfGroup="None" Color="#00ff00">')
        lines += ["\t\t\t<Attributes />", "\t\t</Group>"]
    return "\n".join([*lines, "\t</AnnotationGroups>", "</ASAP_Annotations>", ""])


if __name__ == "__main__":
    sys.exit(main())
