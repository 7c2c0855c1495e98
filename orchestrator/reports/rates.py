"""A benchmark of links as pictures and a page: rate against size, one picture for each pair of sites."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metadata.errors import AdapterUnavailableError
from orchestrator.quantities import shown_size
from staging.routes import Way

Curves = Mapping[tuple[str, str], Mapping[Way, Sequence[tuple[int, float]]]]

_PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Links between sites</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;color:#222}}
pre{{overflow-x:auto;background:#f6f6f4;padding:1rem}}img{{max-width:100%}}</style></head>
<body><h1>Links between sites</h1><pre>{tables}</pre>{pictures}</body></html>
"""


def write_rates(folder: Path, curves: Curves, *, tables: str) -> list[Path]:
    """`rates-SOURCE-DESTINATION.png` and `.svg` for each pair, and `rates.html` with all of them and the tables.

    Raises AdapterUnavailableError when matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - heavy, and an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise AdapterUnavailableError("pictures need matplotlib: pip install 'convoy-hpc[plots]'") from error
    folder.mkdir(parents=True, exist_ok=True)
    written, shown = [], []
    for (source, destination), rows in sorted(curves.items()):
        figure = Figure(figsize=(8, 4.8), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.add_subplot(), rows, f"{source} → {destination}")
        for suffix in ("png", "svg"):
            path = folder / f"rates-{source}-{destination}.{suffix}"
            figure.savefig(path, dpi=120)
            written.append(path)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=120)
        data = base64.b64encode(picture.getvalue()).decode()
        shown.append(
            f'<img alt="{html.escape(source)} to {html.escape(destination)}" src="data:image/png;base64,{data}">'
        )
    page = folder / "rates.html"
    page.write_text(_PAGE.format(tables=html.escape(tables), pictures="".join(shown)), encoding="utf-8")
    return [page, *written]


def _draw(axes: Any, rows: Mapping[Way, Sequence[tuple[int, float]]], title: str) -> None:
    for way, points in rows.items():
        axes.plot([size / 2**20 for size, _ in points], [rate * 8e-6 for _, rate in points], marker="o", label=str(way))
    sizes = sorted({size for points in rows.values() for size, _ in points})
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([size / 2**20 for size in sizes], labels=[shown_size(size) for size in sizes])
    axes.xaxis.minorticks_off()
    for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        which("{x:,.0f}")
    axes.set_xlabel("size of the file")
    axes.set_ylabel("rate with verification, Mbit/s")
    axes.set_title(title)
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(fontsize="small", loc="lower right")
