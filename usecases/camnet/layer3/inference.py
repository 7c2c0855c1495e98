"""Reads tiles and predicts them, both at the same time."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from usecases.camnet.console import Progress
from usecases.camnet.networks import Images, Network, predictor
from usecases.camnet.slides import RgbImage, Slide

_BATCHES_AHEAD = 3
_READERS = 2


def predict_tiles(
    model: Any, network: Network, slide: Slide, corners: npt.NDArray[np.int64], *, size: int, batch_size: int
) -> Images:
    """Returns the probability of tumour of each tile, in the order of the (n, 2) level-0 corners (x, y).

    Raises:
        SlideError: pixels of the slide cannot be decoded.
    """
    probabilities = np.empty(len(corners), dtype=np.float32)
    progress = Progress(f"layer3 {slide.path.stem} tiles", total=len(corners))
    predict = predictor(model, network)
    done = 0
    for patches in _read_ahead(slide, corners, size=size, batch_size=batch_size):
        probabilities[done : done + len(patches)] = predict(patches)
        done += len(patches)
        progress.show(done)
    return probabilities


def _read_ahead(slide: Slide, corners: npt.NDArray[np.int64], *, size: int, batch_size: int) -> Iterator[RgbImage]:
    """Yields batches of tiles in order; the next few are read while one is in use, and no more, to bound memory."""
    parts = [corners[start : start + batch_size] for start in range(0, len(corners), batch_size)]
    waiting: deque[Future[RgbImage]] = deque()

    def read(part: npt.NDArray[np.int64]) -> RgbImage:
        return np.stack([slide.read_patch(x=x, y=y, size=size) for x, y in part.tolist()])

    with ThreadPoolExecutor(_READERS) as readers:
        for part in parts:
            waiting.append(readers.submit(read, part))
            if len(waiting) > _BATCHES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
