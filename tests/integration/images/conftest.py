"""Small images, and homes whose sites run their steps in Apptainer."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.operations.workspace import Workspace
from orchestrator.settings import find_settings
from tests.testbed.fixtures import Testbed, TestbedSite, refuse, sites

PROGRAMS = ("sh", "cat", "env", "id", "ls", "mkdir", "pwd", "sort", "touch", "test", "true", "wc")


@dataclass(frozen=True, kw_only=True)
class Centres:
    """agh and lrz, both with Apptainer, in a fresh home and with a folder of its own at each."""

    home: Path
    sites: dict[str, TestbedSite]
    workdir: str

    def workspace(self) -> Workspace:
        """The home, open."""
        return Workspace(find_settings(home=self.home))

    def need_gpus(self, site: str, *, a_node: int) -> None:
        """Returns when the nodes of a site have so many GPUs; skips the test where an older one has fewer."""
        name = self.sites[site].name
        found = next(row["gpus"] for row in json.loads(sites("status", "--json")) if row["name"] == name)
        if found < a_node:
            refuse(f"{name} was made with {found} GPUs a node, and {a_node} are needed; run: sites.sh down {name}")

    def inside(self, site: str, path: str) -> Path:
        """A site's file as this machine's root sees it."""
        return self.sites[site].root / path.lstrip("/")


@pytest.fixture(scope="session")
def busybox(testbed: Testbed) -> bytes:
    """A statically linked program that is many."""
    return (testbed.site("agh").root / "usr/bin/busybox").read_bytes()


@pytest.fixture
def centres(testbed: Testbed, tmp_path: Path) -> Iterator[Centres]:
    """Two sites that run steps in images; their folders are gone afterwards."""
    with open_centres(testbed, tmp_path / "home") as opened:
        yield opened


@pytest.fixture(scope="module")
def module_centres(testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centres]:
    """The same, for all tests of a file."""
    with open_centres(testbed, tmp_path_factory.mktemp("centres") / "home") as opened:
        yield opened


@contextmanager
def open_centres(testbed: Testbed, home: Path) -> Iterator[Centres]:
    """Agh and lrz, up, with a folder of their own for this home; the folders are gone afterwards."""
    opened = {name: testbed.site(name) for name in ("agh", "lrz")}
    workdir = f"/home/alice/convoy-{secrets.token_hex(4)}"
    home.mkdir()
    lines = ["sites:"]
    for name, site in opened.items():
        host, config = site.ssh_options["host"], site.ssh_options["config_file"]
        lines += [
            f"  {name}:",
            f"    workdir: {workdir}",
            "    scheduler: slurm",
            f"    runner: {{type: ssh, options: {{host: {host}, config_file: {config}}}}}",
            "    storage: command",
            "    container: apptainer",
            "    environment: {SITE_SAYS: everywhere}",
        ]
    (home / "sites.yaml").write_text("\n".join(lines) + "\n")
    yield Centres(home=home, sites=opened, workdir=workdir)
    for site in opened.values():
        site.execute("rm", "-rf", workdir)


def make_layer(busybox: bytes) -> bytes:
    """A root file system as a tar file: busybox under a dozen names."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for folder in ("bin", "etc", "tmp", "proc", "sys", "dev", "var/tmp", "home"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        for path, content in {
            "bin/busybox": busybox,
            "etc/localtime": b"",
            "etc/hosts": b"",
            "etc/passwd": b"",
        }.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
        for name in PROGRAMS:
            member = tarfile.TarInfo(f"bin/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(member)
    return stream.getvalue()


def _pack(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for folder in sorted({str(parent) for name in files for parent in Path(name).parents if parent.name}):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def _config(layer: bytes) -> bytes:
    digest = hashlib.sha256(layer).hexdigest()
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin", "MADE_BY=the archive"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()


def docker_archive(path: Path, layer: bytes) -> Path:
    """What `docker save` writes."""
    manifest = [{"Config": "config.json", "RepoTags": ["tiny:latest"], "Layers": ["layer.tar"]}]
    return _pack(
        path, {"config.json": _config(layer), "manifest.json": json.dumps(manifest).encode(), "layer.tar": layer}
    )


def oci_archive(path: Path, layer: bytes) -> Path:
    """What `podman save --format oci-archive` writes."""
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def blob(content: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        files[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(_config(layer), "config.v1+json"),
        "layers": [blob(layer, "layer.v1.tar")],
    }
    index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), "manifest.v1+json")]}
    files["index.json"] = json.dumps(index).encode()
    return _pack(path, files)
