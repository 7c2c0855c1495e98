# ruff: noqa: INP001 - a program beside its recipes, and no package
"""Makes a Docker archive from one of the recipes here, on a Debian machine that has mmdebstrap and no container tool.

    python3 containers/archive.py camnet-cpu camnet-cpu.tar
    convoy image import camnet-cpu camnet-cpu.tar            # to a SIF

It carries out the recipe's Dockerfile. Of that language it knows FROM debian:SUITE, COPY, RUN, ENV and CMD, which is
all that the recipes use. The archive has two layers: all up to the last RUN, and what is only copied after it. With
--cache the first is kept under the hash of what it was made of, so that a changed program costs no new installation.
Root is needed only where unprivileged user namespaces are forbidden.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath

PROJECT = Path(__file__).resolve().parent.parent
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
# pip shall trust whom this machine trusts, and look for nothing in this machine's own folders.
TRUST = "env -u PIP_FIND_LINKS " + " ".join(
    f"{name}=/tmp/authorities" for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
)
BOOTSTRAP = (
    "mmdebstrap", "--quiet", "--variant=apt", '--aptopt=Acquire::Languages "none"',
    '--aptopt=APT::Install-Recommends "false"', "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--skip=output/dev",
)  # fmt: skip
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
KNOWN = {"FROM", "COPY", "RUN", "ENV", "CMD"}
Instruction = tuple[str, str]


def instructions(text: str) -> Iterator[Instruction]:
    """The lines of a Dockerfile as (word, rest)."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.strip().partition(" ")
            yield word, rest.strip()


def recipe(name: str) -> list[Instruction]:
    """The instructions of a recipe. Exits with a message when there is none, or it says what is not known here."""
    dockerfile = PROJECT / "containers" / name / "Dockerfile"
    if not dockerfile.is_file():
        there = sorted(path.parent.name for path in dockerfile.parent.parent.glob("*/Dockerfile"))
        raise SystemExit(f"there is no recipe {name!r}; there are: {', '.join(there)}")
    steps = list(instructions(dockerfile.read_text()))
    unknown = {word for word, _ in steps} - KNOWN
    if unknown:
        raise SystemExit(f"{dockerfile}: this tool does not know {', '.join(sorted(unknown))}")
    return steps


def halves(steps: Sequence[Instruction]) -> tuple[Sequence[Instruction], Sequence[Instruction]]:
    """The steps up to the last RUN, and those after it."""
    last = max(number for number, (word, _) in enumerate(steps) if word == "RUN") + 1
    return steps[:last], steps[last:]


def copied(source: str) -> list[Path]:
    """What COPY takes, folders before what is in them. Byte code would make every archive another one."""
    inside = sorted((PROJECT / source).rglob("*"))
    return [PROJECT / source, *(path for path in inside if "__pycache__" not in path.parts)]


def content_key(steps: Sequence[Instruction]) -> str:
    """A hash of the steps, of every file that they copy, and of how the system below them is put together."""
    digest = hashlib.sha256(repr((BOOTSTRAP, TRUST, platform.machine(), list(steps))).encode())
    for word, rest in steps:
        for path in copied(rest.split()[0]) if word == "COPY" else ():
            digest.update(f"{path.relative_to(PROJECT)}\0".encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def hooks(steps: Sequence[Instruction], scratch: Path) -> Iterator[str]:
    """Each COPY and RUN as mmdebstrap's option; `$1` is the new root."""
    yield f'--customize-hook=install -m 644 {AUTHORITIES} "$1"/tmp/authorities'
    for number, (word, rest) in enumerate(steps):
        if word == "COPY":
            layer = scratch / f"copy-{number}.tar"
            write_copies(layer, [(word, rest)])
            yield f'--customize-hook=tar -C "$1" --no-same-owner -xf {layer}'
        elif word == "RUN":
            yield f'--customize-hook={TRUST} chroot "$1" sh -c {shlex.quote(rest)}'
    yield '--customize-hook=rm "$1"/tmp/authorities'


def mirror() -> str:
    """The Debian mirror that this machine itself uses."""
    words = ["apt-get", "indextargets", "--format", "$(ORIGIN)/$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    for line in subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines():
        origin, _, address = line.partition(" ")
        if origin == "Debian/Debian":
            return address
    raise SystemExit("there is no Debian mirror in apt's sources; run: apt-get update")


def bootstrap(steps: Sequence[Instruction], layer: Path, scratch: Path) -> None:
    """The root file system that the steps lead to, as one tar file."""
    suite = dict(steps)["FROM"].removeprefix("debian:").removesuffix("-slim")
    command = [*BOOTSTRAP, *hooks(steps, scratch), suite, str(layer), f"deb {mirror()} {suite} main"]
    subprocess.run(command, check=True)


def write_copies(layer: Path, steps: Sequence[Instruction]) -> None:
    """What the COPY steps bring, as a tar file that depends on nothing but the files' names and contents."""
    with tarfile.open(layer, "w") as archive:
        for source, target in (rest.split() for word, rest in steps if word == "COPY"):
            for folder in reversed(PurePosixPath(target).parents):
                add_member(archive, PROJECT, str(folder).strip("/"))
            for path in copied(source):
                add_member(archive, path, str(PurePosixPath(target.strip("/")) / path.relative_to(PROJECT / source)))


def add_member(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """A file or an empty folder, of nobody in particular and of no time."""
    if not name:
        return
    member = archive.gettarinfo(path, name)
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    with path.open("rb") if member.isfile() else BytesIO() as stream:
        archive.addfile(member, stream)


def write_archive(name: str, steps: Sequence[Instruction], layers: Sequence[Path], target: Path) -> None:
    """The archive as `docker load`, podman and apptainer read it."""
    digests = []
    for layer in layers:
        with layer.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {
            "Env": [rest for word, rest in steps if word == "ENV"],
            "Cmd": next((json.loads(rest) for word, rest in steps if word == "CMD"), ["/bin/sh"]),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }
    content = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(content).hexdigest()}.json"
    names = [f"{digest}.tar" for digest in digests]
    manifest = [{"Config": config_name, "RepoTags": [f"{name}:latest"], "Layers": names}]
    partial = target.with_name(f"{target.name}.part")
    with tarfile.open(partial, "w") as archive:
        for path, text in ((config_name, content), ("manifest.json", json.dumps(manifest).encode())):
            member = tarfile.TarInfo(path)
            member.size = len(text)
            archive.addfile(member, BytesIO(text))
        for layer, layer_name in zip(layers, names, strict=True):
            archive.add(layer, layer_name)
    partial.replace(target)


def build(name: str, target: Path, *, cache: Path | None) -> None:
    """The archive of a recipe lies at `target`."""
    steps = recipe(name)
    first, rest = halves(steps)
    with tempfile.TemporaryDirectory(dir=target.resolve().parent, prefix=f".{name}-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)  # in a user namespace another user has to enter it
        installed, programs = scratch / "installed.tar", scratch / "programs.tar"
        if cache:
            cache.mkdir(parents=True, exist_ok=True)
            installed = cache / f"{name}-{content_key(first)[:16]}.tar"
        if not installed.exists():
            bootstrap(first, scratch / "new.tar", scratch)
            (scratch / "new.tar").replace(installed)
        write_copies(programs, rest)
        write_archive(name, steps, [installed, programs], target)


def main() -> None:
    """Builds what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="the recipe's folder")
    parser.add_argument("target", type=Path, help="the archive")
    parser.add_argument("--cache", type=Path, help="a folder on the same disk as the archive; made if absent")
    options = parser.parse_args()
    build(options.name, options.target, cache=options.cache)


if __name__ == "__main__":
    main()
