"""The catalogue of data: what there is, where its copies lie, who restricts it, and what was measured of links."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, overload

from metadata import attributes as facts
from metadata import datasets, files, measurements, namespace, replicas
from metadata.clauses import Kind, clause
from metadata.errors import InvalidInputError
from metadata.namespace import Rename
from metadata.policy import Policy
from metadata.records import (
    AttributeValue,
    DatasetRecord,
    FileRecord,
    Measurement,
    NewFile,
    ReplicaRecord,
)
from metadata.search import Condition, parse_condition
from metadata.sessions import Sessions

__all__ = [
    "AttributeValue",
    "Catalogue",
    "DatasetRecord",
    "FileRecord",
    "Measurement",
    "NewFile",
    "ReplicaRecord",
]


class Catalogue:
    """The catalogue in one database. Every method is one transaction, and safe to call from any thread.

    Any method raises SiteUnavailableError when the database does not answer; trying again may help.
    """

    def __init__(self, sessions: Sessions) -> None:
        """Args: sessions: as `metadata.sessions.open_sessions` gives them; the catalogue never disposes of them."""
        self._sessions = sessions

    def add_files(
        self,
        dataset: str,
        new_files: Iterable[NewFile],
        *,
        description: str | None = None,
        policy: Policy | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        lying_at: Collection[str] = (),
    ) -> None:
        """Adds all files or none; the dataset is made when it is new. Adding a file again changes nothing.

        Args:
            dataset: A name without `/`.
            new_files: Any number; ten thousand take one batch. A file that is known with the same content keeps
                its first media type, and from then on both its policies together.
            description: For people; None leaves what an existing dataset says.
            policy: Of the dataset; None leaves what an existing dataset has.
            attributes: Of the dataset; its others stay.
            lying_at: Sites where each content was seen to lie. Somebody may have taken a copy away since.

        Raises:
            ConflictError: A path is known with other content, the dataset has another policy, or a copy was taken away.
            InvalidInputError: A name, path, hash or attribute that cannot be.
        """
        added = list(new_files)
        with self._sessions.writing() as session:
            dataset_id = datasets.ensure(session, dataset, description=description, policy=policy)
            if lying_at:
                replicas.check_lying(
                    session, {file.sha256: f"dataset://{dataset}/{file.path}" for file in added}, lying_at
                )
            files.add(session, dataset_id, added, dataset=dataset)
            if attributes:
                facts.replace(session, attributes, dataset_id=dataset_id, file_id=None)

    def datasets(self, pattern: str | None = None) -> list[DatasetRecord]:
        """All datasets, or those whose names match the shell pattern; sorted by name."""
        with self._sessions.reading() as session:
            return datasets.named(session, datasets.names(session, pattern))

    def dataset(self, name: str) -> DatasetRecord:
        """The dataset. Raises NotFoundError, with the nearest name."""
        with self._sessions.reading() as session:
            datasets.find_id(session, name)
            return datasets.named(session, [name])[0]

    def has_dataset(self, name: str) -> bool:
        """Whether a dataset has this name."""
        with self._sessions.reading() as session:
            return datasets.exists(session, name)

    def files(self, dataset: str, pattern: str | None = None) -> list[FileRecord]:
        """All files of the dataset, or those whose paths match the shell pattern; sorted by path.

        `*` and `?` stay within one folder and `**` goes through any number. Raises NotFoundError (the dataset).
        """
        with self._sessions.reading() as session:
            return files.within(session, datasets.find_id(session, dataset), pattern)

    def file(self, dataset: str, path: str) -> FileRecord:
        """The file. Raises NotFoundError, with the nearest name."""
        with self._sessions.reading() as session:
            dataset_id = datasets.find_id(session, dataset)
            found = files.at_path(session, dataset_id, path)
            if found is None:
                raise files.unknown(session, dataset_id, path, dataset=dataset)
            return found

    def resolve(self, dataset: str, path: str = "") -> list[FileRecord]:
        """The files that `dataset://dataset/path` means, sorted by path.

        Args:
            dataset: The dataset's name.
            path: A file; or a folder, for everything below it; or a shell pattern; or empty, for all files.

        Raises:
            NotFoundError: No such dataset, or nothing in it fits the path; names the nearest.
        """
        with self._sessions.reading() as session:
            dataset_id = datasets.find_id(session, dataset)
            if not path:
                return files.within(session, dataset_id)
            found = files.meant_by(session, dataset_id, path)
            if not found:
                raise files.unknown(session, dataset_id, path, dataset=dataset)
            return found

    def rename_dataset(self, name: str, new_name: str) -> None:
        """The dataset has its new name. Raises NotFoundError, ConflictError (it is taken) or InvalidInputError."""
        with self._sessions.writing() as session:
            namespace.rename_dataset(session, name, new_name)

    def rename_files(self, renames: Mapping[str, Sequence[Rename]], *, into: str) -> None:
        """The files, by dataset, have new names in the dataset `into`, with their attributes, pins and policies.

        All or none. Raises NotFoundError, ConflictError (a name is taken; nothing is overwritten) or InvalidInputError.
        """
        with self._sessions.writing() as session:
            # One order for all writers, so that two of them wait for each other and never in a circle.
            for dataset in sorted(renames):
                namespace.rename_files(session, dataset, renames[dataset], into=into)

    def remove_files(self, dataset: str, paths: Sequence[str]) -> None:
        """The dataset has no such names any more; no copy is touched. Raises NotFoundError, ConflictError (pinned)."""
        with self._sessions.writing() as session:
            namespace.remove_files(session, dataset, paths)

    def remove_dataset(self, name: str, *, paths: Collection[str]) -> None:
        """The dataset and these names are gone; no copy is touched. With names that are not among them it stays.

        Raises NotFoundError, ConflictError (pinned).
        """
        with self._sessions.writing() as session:
            namespace.remove_dataset(session, name, paths=paths)

    def named_elsewhere(self, sha256s: Iterable[str], *, outside: Iterable[tuple[str, str]]) -> set[str]:
        """Those of the contents that have a name which is none of `outside`, as (dataset, path)."""
        with self._sessions.reading() as session:
            return files.named_elsewhere(session, sha256s, outside=set(outside))

    def add_replicas(self, records: Iterable[ReplicaRecord]) -> None:
        """Notes copies, all or none. What is said of a path of a site replaces what was said of it before."""
        with self._sessions.writing() as session:
            replicas.add(session, records)

    def refresh_replicas(self, records: Iterable[ReplicaRecord]) -> None:
        """Notes what looking at known copies showed. A copy that was forgotten since, or is another now, stays so."""
        with self._sessions.writing() as session:
            replicas.refresh(session, records)

    def replicas(self, sha256s: Iterable[str]) -> dict[str, list[ReplicaRecord]]:
        """Every known copy of each content, sorted by site and path; an empty list where there is none."""
        with self._sessions.reading() as session:
            return replicas.of(session, sha256s)

    def replica_at(self, site: str, path: str) -> ReplicaRecord | None:
        """What is known to lie at this path of this site; None when nothing is."""
        return self.replicas_at(site, [path]).get(path)

    def replicas_at(self, site: str, paths: Iterable[str]) -> dict[str, ReplicaRecord]:
        """The same for many paths; one of which nothing is known is absent."""
        with self._sessions.reading() as session:
            return replicas.at(session, site=site, paths=paths)

    def move_replicas(self, site: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Copies that lay at the first path of a pair are known at the second; what was known there before is not."""
        with self._sessions.writing() as session:
            replicas.move(session, site=site, pairs=pairs)

    def remove_replicas(self, site: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Forgets the copies at these paths of a site, as (path, sha256), and touches no byte there.

        A path that somebody has registered with another hash since keeps what was said of it.
        """
        with self._sessions.writing() as session:
            replicas.remove(session, site=site, pairs=pairs)

    def policies(self, sha256s: Iterable[str]) -> dict[str, Policy]:
        """What all owners of each content ask for it together, whatever its names are; a free one when nobody does.

        It goes by content and not by name, so that a copy under another name is as restricted as the first.
        """
        with self._sessions.reading() as session:
            return files.policies(session, sha256s)

    def set_policy(self, dataset: str, policy: Policy | None) -> None:
        """Replaces the dataset's policy; None lets its data go anywhere. Raises NotFoundError."""
        with self._sessions.writing() as session:
            datasets.set_policy(session, dataset, policy)

    def set_attributes(
        self, dataset: str, values: Mapping[str, AttributeValue | None], *, path: str | None = None
    ) -> None:
        """Sets each key to its value, and removes it when that is None; other keys stay.

        Args:
            dataset: The dataset's name.
            values: Key -> a finite number, a text, or a list of both.
            path: A file of the dataset; None for the dataset itself, whose attributes its files share.

        Raises:
            NotFoundError: No such dataset or file.
            InvalidInputError: A key that a search could not name, or a value of another type.
        """
        with self._sessions.writing() as session:
            # The lock keeps a second writer from setting the same key beside this one.
            dataset_id = datasets.find_id(session, dataset, lock=True)
            file_id = None if path is None else files.find_id(session, dataset_id, path, dataset=dataset)
            facts.replace(session, values, dataset_id=dataset_id, file_id=file_id)

    def attributes(self, dataset: str, path: str | None = None) -> dict[str, AttributeValue]:
        """The attributes of the dataset, or those that one of its files has itself. Raises NotFoundError."""
        with self._sessions.reading() as session:
            dataset_id = datasets.find_id(session, dataset)
            file_id = None if path is None else files.find_id(session, dataset_id, path, dataset=dataset)
            return facts.of_one(session, dataset_id=dataset_id, file_id=file_id)

    @overload
    def find(self, conditions: Sequence[str | Condition], *, kind: Literal["files"] = ...) -> list[FileRecord]: ...
    @overload
    def find(self, conditions: Sequence[str | Condition], *, kind: Literal["datasets"]) -> list[DatasetRecord]: ...
    def find(
        self, conditions: Sequence[str | Condition], *, kind: Kind = "files"
    ) -> list[FileRecord] | list[DatasetRecord]:
        """The files, or the datasets, that meet every condition; `metadata.search` says how they are written.

        Args:
            conditions: Such as `["patient=4", "mpp<0.3"]`; one text is one condition.
            kind: `files`, for which their datasets' attributes count too, or `datasets`.

        Raises:
            InvalidInputError: A condition that cannot be read, or that the database cannot decide.
        """
        written = [conditions] if isinstance(conditions, str) else conditions
        parsed = [parse_condition(item) if isinstance(item, str) else item for item in written]
        where = clause(parsed, kind=kind, dialect=self._sessions.dialect)
        try:
            with self._sessions.reading() as session:
                if kind == "datasets":
                    return datasets.where(session, where.text, **where.values)
                return files.where(session, where.text, **where.values)
        except InvalidInputError as error:
            # Python's regular expressions know a little more than PostgreSQL's.
            shown = ", ".join(map(str, parsed))
            raise InvalidInputError(f"the database cannot search for {shown}: {error.message}") from error

    def add_measurement(self, measurement: Measurement) -> None:
        """Notes what a transfer told about a link. Raises InvalidInputError when it moved nothing or took no time."""
        with self._sessions.writing() as session:
            measurements.add(session, measurement)

    def measurements(self) -> list[Measurement]:
        """The newest 40 measurements of each way (mover, direction, streams) over each link, the newest first."""
        with self._sessions.reading() as session:
            return measurements.recent(session)
