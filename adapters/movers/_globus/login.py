"""A user's or an application's login to Globus."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import globus_sdk
import platformdirs
from globus_sdk.authorizers import GlobusAuthorizer
from globus_sdk.scopes import GCSCollectionScopes, TransferScopes
from globus_sdk.token_storage import JSONTokenStorage

from metadata.errors import InvalidInputError, SiteUnavailableError, StagingError
from staging.ports import Prompter

LOGIN_HINT = "log in to Globus again: convoy site login"
_TRANSFER = "transfer.api.globus.org"


@dataclass(frozen=True, kw_only=True)
class _Question:
    text: str
    secret: bool = False


_CODE = _Question(text="Code: ")


class GlobusLogin:
    """A user's login to Globus: kept in a file that only the user can read, and renewed without asking.

    With a client secret it is an application's own identity (a confidential client) and needs no person; without one
    a person visits an address once (a native application).
    """

    def __init__(self, *, client_id: str, client_secret: str | None = None, tokens_file: Path) -> None:
        self._client_id = client_id
        self._secret = client_secret
        self._file = tokens_file
        self._flow: globus_sdk.NativeAppAuthClient | None = None

    @classmethod
    def find(cls, environment: Mapping[str, str] = os.environ) -> GlobusLogin:
        """As CONVOY_GLOBUS_CLIENT_ID and CONVOY_GLOBUS_CLIENT_SECRET say. Raises StagingError."""
        client_id = environment.get("CONVOY_GLOBUS_CLIENT_ID")
        if not client_id:
            raise StagingError(
                "Globus knows programs by an id: register one at app.globus.org/settings/developers and set "
                "CONVOY_GLOBUS_CLIENT_ID (and CONVOY_GLOBUS_CLIENT_SECRET for a confidential client)"
            )
        return cls(
            client_id=client_id,
            client_secret=environment.get("CONVOY_GLOBUS_CLIENT_SECRET"),
            tokens_file=Path(platformdirs.user_data_dir("convoy")) / "globus.json",
        )

    @property
    def needed(self) -> bool:
        """Whether a person has to log in first."""
        return self._secret is None and self._stored() is None

    def ask(self, site: str, collections: Iterable[str], prompter: Prompter) -> None:
        """A person has logged in, and consented to these collections; nobody is asked where that was done before.

        Raises InvalidInputError for a wrong code.
        """
        wanted, before = set(collections), self._consented()
        if self._secret is not None or (not self.needed and wanted <= before):
            return
        address = self.start(sorted(wanted | before))
        title = f"Log in to Globus for {site}: visit this address, and copy the code that it ends with.\n{address}"
        [code] = prompter.ask(site=site, title=title, questions=[_CODE])
        self.finish(code)
        self._consents.write_text(json.dumps(sorted(wanted | before)))

    def _consented(self) -> set[str]:
        return set(json.loads(self._consents.read_text())) if self._consents.exists() and not self.needed else set()

    @property
    def _consents(self) -> Path:
        return self._file.with_suffix(".collections.json")

    def revoke(self) -> None:
        """The login is no longer good for anything, and forgotten here. Raises SiteUnavailableError.

        An application's secret is not revoked: whoever set it takes it away.
        """
        stored = self._stored()
        self.forget()
        if stored is None:
            return
        client = globus_sdk.NativeAppAuthClient(self._client_id)
        try:
            for token in filter(None, (stored.refresh_token, stored.access_token)):
                client.oauth2_revoke_token(token)
        except globus_sdk.GlobusError as error:
            raise SiteUnavailableError(
                f"the login to Globus is forgotten here, but Globus could not be told ({type(error).__name__}); "
                "take the consent back at app.globus.org/settings/consents"
            ) from error

    def start(self, collections: Iterable[str] = ()) -> str:
        """The address that a person must visit; some collections want to be named in the consent given there."""
        scope = TransferScopes.all
        for collection in collections:
            scope = scope.with_dependency(GCSCollectionScopes(collection).data_access)
        self._flow = globus_sdk.NativeAppAuthClient(self._client_id)
        self._flow.oauth2_start_flow(requested_scopes=[scope], refresh_tokens=True)
        return self._flow.oauth2_get_authorize_url()

    def finish(self, code: str) -> None:
        """The login is kept, with the code that the person was shown. Raises InvalidInputError for a wrong code."""
        if self._flow is None:
            raise InvalidInputError("a login to Globus begins with the address to visit")
        try:
            self._store(self._flow.oauth2_exchange_code_for_tokens(code.strip()))
        except globus_sdk.AuthAPIError as error:
            raise InvalidInputError(f"Globus does not take this code: {error.message or error.code}") from error

    def authorizer(self) -> GlobusAuthorizer:
        """What signs requests. Raises StagingError where a person has to log in first."""
        if self._secret is not None:
            client = globus_sdk.ConfidentialAppAuthClient(self._client_id, self._secret)
            return globus_sdk.ClientCredentialsAuthorizer(client, TransferScopes.all)
        stored = self._stored()
        if stored is None or stored.refresh_token is None:
            raise StagingError(f"nobody is logged in to Globus; {LOGIN_HINT}")
        return globus_sdk.RefreshTokenAuthorizer(
            stored.refresh_token,
            globus_sdk.NativeAppAuthClient(self._client_id),
            access_token=stored.access_token,
            expires_at=stored.expires_at_seconds,
            on_refresh=self._store,
        )

    def forget(self) -> None:
        """The login is forgotten here; Globus keeps the consent until it is taken back there."""
        self._file.unlink(missing_ok=True)
        self._consents.unlink(missing_ok=True)

    def _stored(self) -> Any:
        if not self._file.exists():
            return None
        return JSONTokenStorage(self._file).get_token_data_by_resource_server().get(_TRANSFER)

    def _store(self, answer: globus_sdk.OAuthTokenResponse) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        JSONTokenStorage(self._file).store_token_response(answer)
        self._file.chmod(0o600)
