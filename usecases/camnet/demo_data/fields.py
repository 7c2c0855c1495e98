"""Smooth random fields, from which the drawn tissue takes its shapes."""

import numpy as np
import numpy.typing as npt
from PIL import Image

Field = npt.NDArray[np.float32]


def resized(field: Field, rows: int, columns: int) -> Field:
    """Returns the field at another size, bicubic."""
    image = Image.fromarray(np.asarray(field, dtype=np.float32))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC))


def band(field: Field, *, top: int, rows: int, scale: int) -> Field:
    """Returns rows top to top + rows of the field enlarged `scale` times, without enlarging the rest."""
    image = Image.fromarray(np.asarray(field, dtype=np.float32))
    box = (0.0, top / scale, float(field.shape[1]), (top + rows) / scale)
    return np.asarray(image.resize((field.shape[1] * scale, rows), Image.Resampling.BICUBIC, box=box))


def cloud(generator: np.random.Generator, side: int, *, cells: float, octaves: int = 4) -> Field:
    """Returns (side, side) of smooth noise with mean 0 and deviation 1, about `cells` humps across."""
    total = np.zeros((side, side), dtype=np.float32)
    for octave in range(octaves):
        knots = max(2, round(cells * 2**octave)) + 3
        noise = generator.standard_normal((knots, knots)).astype(np.float32)
        total += resized(noise, side, side) * 0.5**octave
    return np.asarray((total - total.mean()) / total.std(), dtype=np.float32)


def thread(generator: np.random.Generator, length: int) -> Field:
    """Returns (length,) of periodic noise 0..1 with coarse and fine parts: a cross-section through fibres."""
    spectrum = np.fft.rfft(generator.standard_normal(length))
    frequency = np.arange(len(spectrum), dtype=np.float64)
    spectrum /= np.maximum(frequency, length / 400) ** 0.75
    spectrum[0] = 0
    wave = np.fft.irfft(spectrum, length)
    return np.asarray(np.clip(0.5 + wave / (4 * wave.std()), 0, 1), dtype=np.float32)


def smooth_step(values: Field, low: float, high: float) -> Field:
    """Returns 0 below `low`, 1 above `high`, and a soft ramp between."""
    ramp = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), dtype=np.float32)
