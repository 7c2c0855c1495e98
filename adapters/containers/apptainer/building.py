"""Makes SIF images from definitions, Docker archives and OCI archives."""

from __future__ import annotations

import importlib
import shutil
from pathlib import PurePosixPath
from typing import Any

from metadata.errors import AdapterUnavailableError
from orchestrator.ports import Argv, CommandResult, Compression

# Left alone, zstd packs as tightly and as slowly as it can.
_PACKING = {Compression.GZIP: "-comp gzip", Compression.ZSTD: "-comp zstd -Xcompression-level 3"}


def build_command(
    executable: str, source: str, target: PurePosixPath, *, context: PurePosixPath, compression: Compression | None
) -> Argv:
    """`apptainer build`, as `SupportsBuilding` describes it; a login node's /tmp is too small for its scratch files."""
    # A definition runs programs as the image's root, who is nobody in particular outside.
    rights = ("--fakeroot",) if source.endswith(".def") else ()
    packing = ("--mksquashfs-args", _PACKING[compression]) if compression else ()
    # The cache would fill the user's home with a second copy of every archive.
    source_options = rights or ("--disable-cache",)
    scratch = target.parent
    variables = (f"APPTAINER_TMPDIR={scratch}", f"SINGULARITY_TMPDIR={scratch}")
    return (
        "env",
        f"--chdir={context}",
        *variables,
        executable,
        "build",
        *source_options,
        *packing,
        str(target),
        source,
    )


def build_here(executable: str, argv: Argv) -> CommandResult:
    """What such a command answered on this machine. Raises AdapterUnavailableError where it cannot run."""
    if shutil.which(executable) is None:
        raise AdapterUnavailableError(
            f"{executable} is not installed on this machine; let a site that has it make the image: --at SITE"
        )
    answer = _spython().run_command(list(argv), capture=True, quiet=True)
    return CommandResult(argv=argv, exit_code=answer["return_code"], stdout="", stderr="".join(answer["message"]))


def _spython() -> Any:
    try:
        return importlib.import_module("spython.utils")
    except ModuleNotFoundError as error:
        raise AdapterUnavailableError(
            "making images on this machine needs spython, which is not installed: pip install spython"
        ) from error
