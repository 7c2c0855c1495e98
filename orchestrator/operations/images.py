"""Images: making them, taking them over, and bringing them to sites, each verified by its digest."""

from __future__ import annotations

import secrets
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from metadata.errors import ConflictError, InvalidInputError, NotFoundError, SiteError
from metadata.policy import ANYWHERE
from metadata.records import NewFile, ReplicaRecord
from orchestrator.images import (
    DATASET,
    MEDIA_TYPE,
    ImageRecord,
    check_name,
    chosen,
    definition_sources,
    image_path,
    record_of,
)
from orchestrator.operations.data.errands import FileProgress
from orchestrator.operations.data.verifying import Verification, verify_data
from orchestrator.operations.workspace import Workspace
from orchestrator.ports import Argv, CommandResult, Compression, SiteSettings, SupportsBuilding
from orchestrator.registry import load, open_runner, settings_of
from orchestrator.settings import HERE
from staging.locations import Location, store_path
from staging.orders import Order
from staging.ports import FileDigest, Storage

_BUILD_S = 3 * 3600.0
_UNPACK_S = 1800.0
_SIF_MAGIC = (32, b"SIF_MAGIC")
"""Where a SIF file says what it is: after the line that lets it be run."""


@dataclass(frozen=True, kw_only=True)
class ImageView:
    """An image, and where it lies."""

    image: ImageRecord
    sites: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Workshop:
    """A place where images are made."""

    name: str
    runtime: SupportsBuilding
    storage: Storage
    folder: PurePosixPath
    """Scratch files of one image, gone when it is made."""
    run: Callable[[Argv, float], CommandResult]

    @property
    def image(self) -> PurePosixPath:
        """Where the new image lies."""
        return self.folder / "image.sif"

    def make(self, source: str, *, context: PurePosixPath, compression: Compression | None) -> None:
        """The image is made. Raises SiteError."""
        self.done(self.runtime.build_command(source, self.image, context=context, compression=compression), _BUILD_S)

    def done(self, argv: Argv, limit_s: float) -> None:
        """Returns when the command worked. Raises SiteError with its last words."""
        answer = self.run(argv, limit_s)
        if answer.exit_code != 0:
            said = [line for line in answer.stderr.splitlines() if line.strip()]
            words = next((line for line in reversed(said) if "FATAL" in line or "ERROR" in line), "".join(said[-1:]))
            message = f"{self.name}: the image could not be made: {words or f'exit code {answer.exit_code}'}"
            raise SiteError(message, site=self.name, argv=argv, exit_code=answer.exit_code)


def build_image(
    workspace: Workspace,
    definition: Path,
    *,
    name: str | None = None,
    at: str = HERE,
    context: Path | None = None,
    compression: Compression | None = None,
    progress: FileProgress | None = None,
) -> ImageView:
    """The image that a definition describes is made, and known by its digest.

    Args:
        workspace: The home.
        definition: A `.def` file.
        name: What to call the image; the definition's own name when left out.
        at: The site that makes it, which must have a route to whatever the definition downloads; this machine when
            left out.
        context: Where the relative paths in the definition begin; the present folder when left out.
        compression: How the image is packed.
        progress: Called as files are carried to the site.

    Raises:
        AdapterUnavailableError: Nothing here, or there, can make images.
        SiteError: The making failed; its own words are told.
        NotFoundError: There is no such definition, or a file that it names is missing.
    """
    if definition.suffix != ".def" or not definition.is_file():
        raise NotFoundError(f"there is no definition {definition}; it is a file that ends in .def")
    called = check_name(name or definition.stem)
    inside = (context or Path.cwd()).resolve()
    with _workshop(workspace, at) as shop:
        if at == HERE:
            shop.make(str(definition.resolve()), context=PurePosixPath(inside), compression=compression)
        else:
            _carry_context(workspace, shop, definition, inside, progress)
            shop.make(str(shop.folder / definition.name), context=shop.folder / "context", compression=compression)
        return _take_in(workspace, shop, called, source=definition.name)


def import_image(
    workspace: Workspace,
    name: str,
    file: Path,
    *,
    at: str = HERE,
    compression: Compression | None = None,
    progress: FileProgress | None = None,
) -> ImageView:
    """The image in a file is known by its digest: a SIF as it is, a Docker or OCI archive after it became one.

    Args:
        workspace: The home.
        name: What to call it.
        file: A `.sif`, or what `docker save` or `podman save --format oci-archive` wrote.
        at: The site that converts an archive; this machine when left out. A SIF is brought there.
        compression: How an archive is packed as a SIF.
        progress: Called as the file is carried to the site.

    Raises:
        InvalidInputError: The file is nothing of the kind.
        AdapterUnavailableError: Nothing here, or there, can convert it.
        SiteError: The conversion failed; its own words are told.
    """
    check_name(name)
    if kind_of(file) == "sif":
        path = str(file.resolve())
        content = workspace.storages[HERE].digest(path)
        known = _register(workspace, name, Location(site=HERE, path=path), content, source=file.name)
        return known if at == HERE else push_image(workspace, f"{name}@{known.image.digest}", at, progress=progress)
    with _workshop(workspace, at) as shop:
        _convert(workspace, shop, file, compression=compression, progress=progress)
        return _take_in(workspace, shop, name, source=file.name)


def convert_image(
    workspace: Workspace,
    file: Path,
    target: Path,
    *,
    at: str = HERE,
    compression: Compression | None = None,
    progress: FileProgress | None = None,
) -> Path:
    """The Docker or OCI archive is a SIF file of this machine, too; nothing is registered or staged. Returns `target`.

    Args:
        workspace: The home.
        file: What `docker save` or `podman save --format oci-archive` wrote.
        target: The new file; its folder is made where it is missing.
        at: The site that converts it; this machine when left out.
        compression: How the SIF is packed.
        progress: Called as files are carried to the site and back.

    Raises:
        InvalidInputError: The file is nothing of the kind.
        ConflictError: There is something at `target`.
        AdapterUnavailableError: Nothing here, or there, can convert it.
        SiteError: The conversion failed; its own words are told.
    """
    if kind_of(file) == "sif":
        raise InvalidInputError(f"{file} is a SIF already; make it known with: convoy image import")
    if target.exists():
        raise ConflictError(f"{target} is there already; remove it, or choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _workshop(workspace, at) as shop:
        _convert(workspace, shop, file, compression=compression, progress=progress)
        made = Location(site=shop.name, path=str(shop.image))
        content = shop.storage.digest(made.path)
        place = Location(site=HERE, path=str(target.resolve()))
        _carry(workspace, made, place, content=content, progress=progress)
    return target


def _convert(
    workspace: Workspace,
    shop: _Workshop,
    file: Path,
    *,
    compression: Compression | None,
    progress: FileProgress | None,
) -> None:
    """An archive of this machine has become the workshop's image."""
    archive = PurePosixPath(file.resolve())
    if shop.name != HERE:
        archive = shop.folder / "archive.tar"
        _carry_file(workspace, file, shop, archive, progress)
    shop.make(f"{kind_of(file)}:{archive}", context=shop.folder, compression=compression)


def list_images(workspace: Workspace) -> list[ImageView]:
    """Every image with the places where it lies, sorted by name, the newest first."""
    images = known_images(workspace)
    copies = workspace.catalogue.replicas({image.sha256 for image in images})
    views = [
        ImageView(image=image, sites=tuple(sorted({copy.site for copy in copies[image.sha256]}))) for image in images
    ]
    return sorted(views, key=lambda view: (view.image.name, -view.image.added_at))


def verify_image(workspace: Workspace, reference: str, *, progress: FileProgress | None = None) -> list[Verification]:
    """Every copy of the image is read where it lies, and compared with its digest. Raises NotFoundError."""
    image = chosen(reference, known_images(workspace))
    return verify_data(workspace, f"dataset://{DATASET}/{image.path}", progress=progress)


def push_image(workspace: Workspace, reference: str, site: str, *, progress: FileProgress | None = None) -> ImageView:
    """The image lies at the site, its digest computed there. Nothing is sent where it lies already.

    Raises NotFoundError, NoSpaceError, PolicyError, StagingError or TransferInterruptedError (try again).
    """
    workdir = PurePosixPath(workspace.site(site).workdir)
    image = chosen(reference, known_images(workspace))
    if not _has(workspace, site, image):
        content = FileDigest(size_bytes=image.size_bytes, sha256=image.sha256)
        target = Location(site=site, path=store_path(workdir, image.sha256))
        _carry(workspace, _source(workspace, image), target, content=content, progress=progress)
        _note_copy(workspace, content, target)
    return _view(workspace, image)


def _has(workspace: Workspace, site: str, image: ImageRecord) -> bool:
    """True when a copy at the site was read just now and is right; others there are forgotten."""
    for copy in workspace.catalogue.replicas([image.sha256])[image.sha256]:
        if copy.site == site:
            storage = workspace.storages[site]
            if storage.stat(copy.path) and storage.digest(copy.path).sha256 == image.sha256:
                return True
            workspace.catalogue.remove_replicas(site, [(copy.path, copy.sha256)])
    return False


def _source(workspace: Workspace, image: ImageRecord) -> Location:
    """Where to take an image from: this machine first."""
    copies = workspace.catalogue.replicas([image.sha256])[image.sha256]
    places = [Location(site=copy.site, path=copy.path) for copy in copies if copy.site in workspace.storages]
    if not places:
        raise NotFoundError(f"no good copy of the image {image.name}@{image.digest} is left; make it again")
    return min(places, key=lambda place: place.site != HERE)


def known_images(workspace: Workspace) -> list[ImageRecord]:
    """The images of the catalogue."""
    if not workspace.catalogue.datasets(DATASET):
        return []
    catalogue = workspace.catalogue
    return [record_of(file, catalogue.attributes(DATASET, file.path)) for file in catalogue.files(DATASET)]


def kind_of(file: Path) -> str:
    """`sif`, `docker-archive` or `oci-archive`. Raises NotFoundError, and InvalidInputError for anything else."""
    if not file.is_file():
        raise NotFoundError(f"there is no file {file}")
    offset, magic = _SIF_MAGIC
    with file.open("rb") as stream:
        stream.seek(offset)
        if stream.read(len(magic)) == magic:
            return "sif"
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name in ("manifest.json", "oci-layout"):
                    return "docker-archive" if name == "manifest.json" else "oci-archive"
    except (tarfile.TarError, EOFError):
        pass
    raise InvalidInputError(f"{file} is neither a SIF image nor a Docker or OCI archive")


@contextmanager
def _workshop(workspace: Workspace, at: str) -> Iterator[_Workshop]:
    """A place that makes images, with a folder that is gone afterwards."""
    token = f"image-{secrets.token_hex(6)}"
    if at == HERE:
        home = workspace.settings.home
        runtime = load("containers", "apptainer")(SiteSettings(name=HERE, workdir=PurePosixPath(home)))
        folder = PurePosixPath(home) / "images" / token
        shop = _Workshop(
            name=HERE, runtime=runtime, storage=workspace.storages[HERE], folder=folder,
            run=lambda argv, _: runtime.build_here(argv),
        )  # fmt: skip
        Path(folder).mkdir(parents=True)
        try:
            yield shop
        finally:
            shop.storage.remove(str(folder))
        return
    site = workspace.site(at)
    runtime = load("containers", site.container.type)(settings_of(at, site, site.container.options))
    if not isinstance(runtime, SupportsBuilding):
        raise InvalidInputError(
            f"{at} runs its steps by {site.container.type!r}, which makes no images; choose a site with apptainer"
        )
    runner = open_runner(at, site)
    folder = PurePosixPath(site.workdir) / "images" / token
    shop = _Workshop(
        name=at, runtime=runtime, storage=workspace.storages[at], folder=folder,
        run=lambda argv, limit_s: runner.run(argv, timeout_s=limit_s),
    )  # fmt: skip
    try:
        shop.done(("mkdir", "-p", "--", str(folder / "context")), _UNPACK_S)
        yield shop
    finally:
        # A build leaves folders behind that nobody may write to.
        runner.run(("chmod", "-R", "u+w", "--", str(folder)))
        shop.storage.remove(str(folder))
        runner.close()


def _carry_context(
    workspace: Workspace, shop: _Workshop, definition: Path, context: Path, progress: FileProgress | None
) -> None:
    """The definition, and what it takes from outside, lie in the workshop."""
    sources = definition_sources(definition.read_text())
    packed = workspace.settings.home / "images" / f"{shop.folder.name}.tar"
    packed.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(packed, "w") as archive:
            for source in sources:
                if not (context / source).exists():
                    raise NotFoundError(f"{definition} takes {source} from {context}, where it is not")
                archive.add(context / source, source, filter=_wanted)
        _carry_file(workspace, packed, shop, shop.folder / "context.tar", progress)
    finally:
        packed.unlink(missing_ok=True)
    shop.storage.write(str(shop.folder / definition.name), definition.read_bytes())
    shop.done(("tar", "-x", "-C", str(shop.folder / "context"), "-f", str(shop.folder / "context.tar")), _UNPACK_S)


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Byte code would make every image another one."""
    return None if "__pycache__" in member.name else member


def _take_in(workspace: Workspace, shop: _Workshop, name: str, *, source: str) -> ImageView:
    """The new image has its final place, and is known."""
    made = str(shop.image)
    content = shop.storage.digest(made)
    if shop.name == HERE:
        final = PurePosixPath(workspace.settings.home) / "images" / image_path(name, content.sha256)
    else:
        final = PurePosixPath(store_path(PurePosixPath(workspace.site(shop.name).workdir), content.sha256))
    shop.storage.rename(made, str(final))
    return _register(workspace, name, Location(site=shop.name, path=str(final)), content, source=source)


def _register(workspace: Workspace, name: str, place: Location, content: FileDigest, *, source: str) -> ImageView:
    path = image_path(name, content.sha256)
    new = NewFile(path=path, size_bytes=content.size_bytes, sha256=content.sha256, media_type=MEDIA_TYPE)
    workspace.catalogue.add_files(DATASET, [new], description="what steps run in")
    _note_copy(workspace, content, place)
    workspace.catalogue.set_attributes(DATASET, {"added_at": time.time(), "source": source}, path=path)
    file = workspace.catalogue.file(DATASET, path)
    return _view(workspace, record_of(file, workspace.catalogue.attributes(DATASET, path)))


def _view(workspace: Workspace, image: ImageRecord) -> ImageView:
    copies = workspace.catalogue.replicas([image.sha256])[image.sha256]
    return ImageView(image=image, sites=tuple(sorted({copy.site for copy in copies})))


def _note_copy(workspace: Workspace, content: FileDigest, place: Location) -> None:
    facts = workspace.storages[place.site].stat(place.path)
    workspace.catalogue.add_replicas([
        ReplicaRecord(
            sha256=content.sha256, size_bytes=content.size_bytes, site=place.site, path=place.path,
            modified_ns=facts.modified_ns if facts else None, verified_at=time.time(),
        )
    ])  # fmt: skip


def _carry_file(
    workspace: Workspace, file: Path, shop: _Workshop, target: PurePosixPath, progress: FileProgress | None
) -> None:
    """A file of this machine lies in the workshop, verified."""
    path = str(file.resolve())
    _carry(
        workspace,
        Location(site=HERE, path=path),
        Location(site=shop.name, path=str(target)),
        content=workspace.storages[HERE].digest(path),
        progress=progress,
    )


def _carry(
    workspace: Workspace, source: Location, target: Location, *, content: FileDigest, progress: FileProgress | None
) -> None:
    name = PurePosixPath(source.path).name
    order = Order(
        name=name,
        content=content,
        source=source,
        destination=target,
        policy=workspace.catalogue.policies([content.sha256]).get(content.sha256, ANYWHERE),
    )
    workspace.carrier.carry_one(
        order, progress=lambda done: progress(name, done, content.size_bytes) if progress else None
    )
