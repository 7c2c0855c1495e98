"""Runs a program inside a SIF image, as an ordinary user."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from adapters.containers.apptainer import building
from adapters.containers.apptainer.settings import parse_settings
from metadata.errors import SiteError
from orchestrator.ports import Argv, CommandResult, Compression, SiteSettings

# What a scheduler tells a job while it starts, which therefore cannot be written down before: its GPUs, its place among
# the processes of the job. Everything else of the host stays outside. The names come from `env`, not from anybody's
# text, and only those that are plain words are taken.
_TOLD_BY_THE_SITE = (
    r"(SLURM|PBS|PMI|PMIX|OMPI|FLUX|HOROVOD|CONVOY|CUDA_VISIBLE|NVIDIA_VISIBLE|ROCR_VISIBLE|HIP_VISIBLE|GPU_DEVICE)"
    r"_[A-Za-z0-9_]*|OMP_NUM_THREADS"
)
_HAND_DOWN = (
    'prefix=$1; names=$2; shift 2; for name in $(env | sed -n -E "s/^($names)=.*/\\1/p"); do '
    'eval "export $prefix$name=\\"\\$$name\\""; done; exec "$@"'
)

# An ordinary user starts images by a user namespace, or by a starter that belongs to root.
_PROBE = """\
"$1" --version || exit
unshare --user true 2>/dev/null || find "$(dirname -- "$(command -v -- "$1")")/../libexec" -name starter-suid \
  -perm -4000 2>/dev/null | grep -q . || { echo "ordinary users get no user namespaces here, and $1 has no \
starter-suid" >&2; exit 1; }"""

_NOT_THERE = (126, 127)
"""A shell's words for a command that it cannot find or start."""


class ApptainerRuntime:
    """`apptainer exec` with a clean environment, and nothing of the site inside but what the job needs."""

    def __init__(self, settings: SiteSettings) -> None:
        self._site = settings
        self._settings = parse_settings(settings.name, settings.options)

    def command(
        self, argv: Argv, *, image: str | None, directory: PurePosixPath, binds: Sequence[PurePosixPath], gpus: int
    ) -> Argv:
        """The command inside the image, in the job's directory; as it is where there is no image."""
        if image is None:
            return argv
        inside = (
            self._settings.executable,
            "--quiet",
            "exec",
            # Without --no-eval a shell reads the variables' values once more; without --no-mount=cwd the folder in
            # which the job happens to start lies, writable, upon everything.
            *("--cleanenv", "--no-eval", "--no-home", "--no-mount=cwd"),
            *self._containment(directory),
            *self._graphics(gpus),
            *self._mounts(directory, binds),
            *("--pwd", str(directory)),
            image,
        )
        return ("/bin/sh", "-c", _HAND_DOWN, "sh", self._settings.prefix, _TOLD_BY_THE_SITE, *inside, *argv)

    def environment(self, variables: Mapping[str, str], *, image: str | None) -> Mapping[str, str]:
        """The site's variables on both sides of the wall, the program's own inside only: its PATH is not the site's."""
        around = dict(self._site.environment)
        if image is None:
            return {**around, **variables}
        inside = {**around, **variables}
        return {**around, **{f"{self._settings.prefix}{name}": value for name, value in inside.items()}}

    def probe_command(self) -> Argv:
        """Its version, and whether an ordinary user may start images with it."""
        return ("/bin/sh", "-c", _PROBE, "sh", self._settings.executable)

    def parse_probe(self, result: CommandResult) -> str:
        """What it says of itself, as `apptainer version 1.4.5`."""
        executable, site = self._settings.executable, self._site.name
        if result.exit_code in _NOT_THERE:
            raise SiteError(f"there is no {executable} at {site}, or not on the PATH of its commands", site=site)
        if result.exit_code:
            words = result.stderr.strip() or f"exit code {result.exit_code}"
            raise SiteError(f"{executable} cannot run images at {site}: {words}", site=site)
        return result.stdout.strip()

    def build_command(
        self, source: str, target: PurePosixPath, *, context: PurePosixPath, compression: Compression | None = None
    ) -> Argv:
        """The command that makes the image `target` from a definition, an archive or the folder of a root."""
        return building.build_command(
            self._settings.executable, source, target, context=context, compression=compression
        )

    def build_here(self, argv: Argv) -> CommandResult:
        """What such a command answered on this machine, driven by spython."""
        return building.build_here(self._settings.executable, argv)

    def _containment(self, directory: PurePosixPath) -> Argv:
        return ("--contain", "--workdir", str(directory)) if self._settings.contain else ()

    def _graphics(self, gpus: int) -> Argv:
        if not gpus:
            return ()
        return ("--rocm",) if self._settings.rocm else ("--nv",) if self._settings.nv else ()

    def _mounts(self, directory: PurePosixPath, binds: Sequence[PurePosixPath]) -> Argv:
        """Data read-only, then the job's own directory; a later mount lies upon an earlier one."""
        extra = self._settings.bound()
        data = [(str(path), str(path)) for path in outermost(binds, self._site.workdir)]
        read_only = [f"type=bind,{_field('source', a)},{_field('destination', b)},ro" for a, b in (*extra, *data)]
        own = f"type=bind,{_field('source', str(directory))},{_field('destination', str(directory))}"
        return tuple(word for mount in (*read_only, own) for word in ("--mount", mount))


def outermost(folders: Iterable[PurePosixPath], workdir: PurePosixPath) -> list[PurePosixPath]:
    """The folders without those that lie in another; below Convoy's own folder, whole branches of it.

    A thousand inputs of one task are a thousand folders, and as many mounts would take seconds.

    >>> paths = ["/w/data/ab", "/w/data/cd", "/lustre/slides", "/lustre/slides/one"]
    >>> [str(path) for path in outermost(map(PurePosixPath, paths), PurePosixPath("/w"))]
    ['/lustre/slides', '/w/data']
    """
    branches = set()
    for folder in folders:
        below = folder.relative_to(workdir).parts if folder.is_relative_to(workdir) else ()
        branches.add(workdir / below[0] if below else folder)
    return sorted(folder for folder in branches if not branches & set(folder.parents))


def _field(name: str, value: str) -> str:
    """One field of `--mount`, which is a line of CSV.

    >>> _field("source", "/data/a,b")
    '"source=/data/a,b"'
    """
    text = f"{name}={value}"
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\s]', text) else text
