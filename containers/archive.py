# ruff: noqa: INP001 - a program beside its recipes, and no package
"""Makes a Docker archive from one of the recipes here, on a Debian machine that has mmdebstrap and no container tool.

    python3 containers/archive.py camnet-cpu camnet-cpu.tar
    convoy image import camnet-cpu camnet-cpu.tar            # to a SIF

It carries out the recipe's Dockerfile. Of that language it knows FROM debian:SUITE, COPY, RUN, ENV and CMD, which is
all that the recipes use. Root is needed only where unprivileged user namespaces are forbidden.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
# pip shall trust whom this machine trusts, and look for nothing in this machine's own folders.
TRUST = "env -u PIP_FIND_LINKS " + " ".join(
    f"{name}=/tmp/authorities" for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
Instruction = tuple[str, str]


def instructions(text: str) -> Iterator[Instruction]:
    """The lines of a Dockerfile as (word, rest)."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.strip().partition(" ")
            yield word, rest.strip()


def hooks(steps: Sequence[Instruction], scratch: Path) -> Iterator[str]:
    """Each COPY and RUN as mmdebstrap's option; `$1` is the new root."""
    yield f'--customize-hook=install -m 644 {AUTHORITIES} "$1"/tmp/authorities'
    for word, rest in steps:
        if word == "COPY":
            source, target = rest.split()
            copy = scratch / target.strip("/").replace("/", "-")
            # Byte code would make every archive another one.
            command = f"mkdir -p {copy} && tar -C {PROJECT / source} --exclude=__pycache__ -c . | tar -C {copy} -x"
            subprocess.run(["/bin/sh", "-c", command], check=True)
            yield f'--customize-hook=mkdir -p "$1"{target} && cp -rT --no-preserve=ownership {copy} "$1"{target}'
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


def bootstrap(steps: Sequence[Instruction], scratch: Path) -> Path:
    """The root file system as one tar file."""
    suite = dict(steps)["FROM"].removeprefix("debian:").removesuffix("-slim")
    layer = scratch / "layer.tar"
    command = [
        "mmdebstrap", "--quiet", "--variant=apt", '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"', "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--skip=output/dev",
        *hooks(steps, scratch), suite, str(layer), f"deb {mirror()} {suite} main",
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return layer


def write_archive(name: str, steps: Sequence[Instruction], layer: Path, target: Path) -> None:
    """The archive as `docker load`, podman and apptainer read it."""
    with layer.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {
            "Env": [rest for word, rest in steps if word == "ENV"],
            "Cmd": next((json.loads(rest) for word, rest in steps if word == "CMD"), ["/bin/sh"]),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    content = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(content).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [f"{name}:latest"], "Layers": ["layer.tar"]}]
    partial = target.with_name(f"{target.name}.part")
    with tarfile.open(partial, "w") as archive:
        for path, text in ((config_name, content), ("manifest.json", json.dumps(manifest).encode())):
            member = tarfile.TarInfo(path)
            member.size = len(text)
            archive.addfile(member, BytesIO(text))
        archive.add(layer, "layer.tar")
    partial.replace(target)


def main() -> None:
    """Builds what the command line names."""
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    name, target = sys.argv[1], Path(sys.argv[2])
    steps = list(instructions((PROJECT / "containers" / name / "Dockerfile").read_text()))
    unknown = {word for word, _ in steps} - {"FROM", "COPY", "RUN", "ENV", "CMD"}
    if unknown:
        raise SystemExit(f"{name}: this tool does not know {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(dir=target.resolve().parent, prefix=f".{name}-") as folder:
        Path(folder).chmod(0o755)  # in a user namespace another user has to enter it
        write_archive(name, steps, bootstrap(steps, Path(folder)), target)


if __name__ == "__main__":
    main()
