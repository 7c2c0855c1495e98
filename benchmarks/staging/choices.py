"""Whether Convoy finds the best of its own ways: three probes of each, then what it chooses beside all others.

    python -m benchmarks.staging.choices HOME SITE ROUNDS FOLDER...

is started with the network of the cable's end. HOME holds the site file, and the history of its database grows by the
probes. One JSON document a folder goes to standard output: {"chosen", "seconds": {way: [s, ...]}, "probes"}.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from metadata.errors import MiddlewareError
from metadata.policy import ANYWHERE
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import HERE, find_settings
from staging.locations import Location
from staging.orders import Order
from staging.routes import Route, Way

_MOST_PROBES = 40
_RIVAL = 1.4
"""Ways that took this much longer than the best when they were probed are not measured again."""
_MOST_RIVALS = 6


def main() -> None:
    """One line of JSON for each folder."""
    home, site, rounds, *folders = sys.argv[1:]
    with Workspace(find_settings(home=Path(home))) as workspace:
        for folder in folders:
            trial = _Trial(workspace, site, Path(folder))
            probes = trial.probe()
            print(json.dumps({"probes": probes, **trial.race(int(rounds))}), flush=True)


class _Trial:
    """The files of a folder on their way to a site, again and again."""

    def __init__(self, workspace: Workspace, site: str, folder: Path) -> None:
        self._workspace = workspace
        self._site = site
        self._carrier = workspace.carrier
        self._routes = workspace.routes
        storage = workspace.storages[HERE]
        self._files = sorted(storage.digests([str(path) for path in folder.iterdir()]).items())
        self._size_bytes = sum(digest.size_bytes for _, digest in self._files)
        self._number = 0

    def probe(self) -> int:
        """Convoy has tried what it wants to try, as it does by itself in a run; how often that was."""
        for number in range(_MOST_PROBES):
            first = self._ranked(explore=True)[0]
            if not first.trial:
                return number
            self._carry(first.way, learn=True)
        return _MOST_PROBES

    def race(self, rounds: int) -> dict[str, object]:
        """What it chooses now, and what each way takes that comes near."""
        ranked = self._ranked(explore=False)
        known = [route for route in ranked[1:] if route.measured]
        near = [route.way for route in known if route.seconds <= _RIVAL * ranked[0].seconds]
        rivals = [ranked[0].way, *near][:_MOST_RIVALS]
        seconds: dict[str, list[float]] = {}
        for turn in range(rounds):
            for way in rivals[turn % len(rivals) :] + rivals[: turn % len(rivals)]:
                took_s = self._carry(way, learn=False)
                if took_s is not None:
                    seconds.setdefault(str(way), []).append(took_s)
        return {
            "chosen": str(ranked[0].way),
            "seconds": seconds,
        }

    def _ranked(self, *, explore: bool) -> Sequence[Route]:
        return self._routes.ranked(
            HERE, self._site, size_bytes=self._size_bytes, files=len(self._files), explore=explore
        )

    def _carry(self, way: Way, *, learn: bool) -> float | None:
        """Seconds until all was verified; None when this way cannot."""
        self._number += 1
        target = f"{self._workspace.workdir(self._site)}/choice-{self._number}"
        orders = [
            Order(
                name=path,
                content=digest,
                source=Location(site=HERE, path=path),
                destination=Location(site=self._site, path=f"{target}/{Path(path).name}"),
                policy=ANYWHERE,
            )
            for path, digest in self._files
        ]
        delivery = self._carrier.carry(orders, ways=[way])
        failed = next((outcome for outcome in delivery.outcomes if isinstance(outcome, MiddlewareError)), None)
        if failed is not None:
            print(f"{way}: {failed}", file=sys.stderr)
            self._routes.history.note_failure((HERE, self._site), way.key)
            return None
        if learn:
            for trip in delivery.trips:
                measurement = trip.measurement(HERE, self._site, measured_at=time.time())
                self._workspace.catalogue.add_measurement(measurement)
                self._routes.history.note(measurement)
        return sum(trip.seconds for trip in delivery.trips)


if __name__ == "__main__":
    main()
