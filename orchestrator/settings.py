"""Where Convoy keeps its things: read once, at the edge."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metadata.errors import InvalidInputError, NotFoundError

HERE = "here"
"""The name of this machine as a place for data. It runs no steps unless a site says so."""

HOME_FOLDER = ".convoy"


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Who is told when transfers and runs end."""

    url: str
    secret: str = field(repr=False)
    """What messages to it are signed with."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every operation needs to know."""

    home: Path
    """The folder of the database, the site file, reports and the embedded sites' data."""
    database_url: str
    sites_file: Path
    """The home's need not exist: without it there is one embedded site named `local`."""
    webhook: Webhook | None = None


def find_settings(
    *,
    home: Path | None = None,
    sites_file: Path | None = None,
    database_url: str | None = None,
    environment: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Settings:
    """The settings: what was said, else CONVOY_HOME, CONVOY_SITES and CONVOY_DATABASE, else what is found.

    The home is the nearest `.convoy` in this folder or above it, else the user's own data folder. CONVOY_WEBHOOK is
    the URL that is told when transfers and runs end; CONVOY_WEBHOOK_SECRET, or the file `webhook.secret` of the home,
    signs what it is told. Raises InvalidInputError for a webhook without a secret, NotFoundError where the folder that
    one works in was removed.
    """
    found = home or _path(environment.get("CONVOY_HOME")) or _nearest(folder or _working_folder())
    found = (found or _of_the_user()).expanduser().resolve()
    url = database_url or environment.get("CONVOY_DATABASE") or f"sqlite:///{found / 'convoy.db'}"
    sites = sites_file or _path(environment.get("CONVOY_SITES")) or found / "sites.yaml"
    return Settings(home=found, database_url=url, sites_file=sites, webhook=_webhook(found, environment))


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as gone:
        raise NotFoundError("the folder that you work in was removed; go to another, or name a --home") from gone


def _of_the_user() -> Path:
    import platformdirs  # noqa: PLC0415 - most people work in a home that they made or named

    return Path(platformdirs.user_data_dir("convoy"))


def _webhook(home: Path, environment: Mapping[str, str]) -> Webhook | None:
    url = environment.get("CONVOY_WEBHOOK")
    if not url:
        return None
    if not url.startswith(("https://", "http://")):
        raise InvalidInputError(f"CONVOY_WEBHOOK is {url!r}; write the whole address, as https://portal.example/convoy")
    file = home / "webhook.secret"
    secret = environment.get("CONVOY_WEBHOOK_SECRET") or (file.read_text().strip() if file.exists() else "")
    if not secret:
        raise InvalidInputError(
            "CONVOY_WEBHOOK is set, and there is no secret to sign with; "
            f"set CONVOY_WEBHOOK_SECRET, or write it to {file}"
        )
    return Webhook(url=url, secret=secret)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _nearest(folder: Path) -> Path | None:
    places = (parent / HOME_FOLDER for parent in (folder, *folder.parents))
    return next((place for place in places if place.is_dir()), None)
