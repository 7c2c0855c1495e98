"""What can go wrong in a layer, told in one line.

CamnetError
 +-- SlideError        the slide cannot be opened or read, or is too small
 +-- AnnotationError   the annotation file is malformed
 +-- SamplingError     the slide gives no usable patch or tile
 +-- PatchStoreError   a patch file is unreadable, empty, or of one class only
 +-- NetworkError      the network is unknown, or its weights do not fit
 +-- LaunchError       the ranks of a distributed run cannot talk to each other

None of these is helped by trying again unchanged: a person has to act first, and `advice` says how.
"""

from usecases.console import ProgramError


class CamnetError(ProgramError):
    """A deliberate failure: what failed, where, why, and what to do next, on one line."""

    def __init__(self, what: str, *, where: object, why: object, advice: str) -> None:
        """Keeps the four parts; line breaks inside them are flattened, as schedulers' logs are read by line."""
        self.what = what
        self.where = where
        self.why = " ".join(str(why).split()).rstrip(".")
        self.advice = advice.rstrip(".")
        super().__init__(f"{what}: {where}: {self.why}. {self.advice}.")


class SlideError(CamnetError):
    """The slide cannot be opened or read, or is too small."""


class AnnotationError(CamnetError):
    """The annotation file is malformed."""


class SamplingError(CamnetError):
    """The slide gives no usable patch or tile."""


class PatchStoreError(CamnetError):
    """A patch file is unreadable, empty, or lacks a class."""


class NetworkError(CamnetError):
    """The network is unknown, or its weights do not fit."""


class LaunchError(CamnetError):
    """The ranks of a distributed run cannot talk to each other."""
