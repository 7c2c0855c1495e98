"""Makes sure that one engine at most acts on a database."""

from __future__ import annotations

import time
import uuid
from typing import Self

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from metadata.errors import EngineBusyError
from metadata.holders import lives, this_process
from metadata.tables import LEASES

_PATIENCE_S = 0.5


class EngineLease:
    """The right to act on a database, held while the `with` block lasts."""

    def __init__(self, engine: Engine, *, wait_s: float = 0.0) -> None:
        self._writer = engine.execution_options(writing=True)
        self._wait_s = wait_s
        self.holder = uuid.uuid4().hex
        """Names this lease in the database."""

    def __enter__(self) -> Self:
        """Raises EngineBusyError when another engine acts and `wait_s` is over."""
        deadline = time.monotonic() + self._wait_s
        while (other := self._try()) is not None:
            if time.monotonic() >= deadline:
                raise EngineBusyError(
                    f"another engine (process {other['pid']} on {other['host']}) works on this database; "
                    "wait for it with --wait, or watch its runs with: convoy show",
                    retry_after_s=_PATIENCE_S,
                )
            time.sleep(_PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        with self._writer.begin() as connection:
            connection.execute(delete(LEASES).where(LEASES.c.holder == self.holder))

    def renew(self) -> bool:
        """False when the lease was lost: the engine must stop at once."""
        with self._writer.begin() as connection:
            mine = update(LEASES).where(LEASES.c.holder == self.holder).values(heartbeat_at=time.time())
            return connection.execute(mine).rowcount == 1

    def _try(self) -> dict[str, object] | None:
        """Takes the lease and returns None, or returns who has it."""
        with self._writer.begin() as connection:
            row = connection.execute(select(LEASES)).mappings().first()
        if row is not None and lives(dict(row)):
            return dict(row)
        return None if self._take(row["holder"] if row else None) else dict(row or {"pid": "?", "host": "?"})

    def _take(self, dead: str | None) -> bool:
        """False when somebody else was quicker: only the very row that was found dead may be replaced."""
        mine = {"holder": self.holder, **this_process()}
        try:
            with self._writer.begin() as connection:
                if dead is None:
                    connection.execute(insert(LEASES), [{"id": 1, **mine}])
                    return True
                return connection.execute(update(LEASES).where(LEASES.c.holder == dead).values(mine)).rowcount == 1
        except IntegrityError:
            return False


def holder_of(engine: Engine) -> dict[str, object] | None:
    """The engine that acts on the database now, if one does."""
    with engine.connect() as connection:
        row = connection.execute(select(LEASES)).mappings().first()
    if row is None or not lives(dict(row)):
        return None
    return dict(row)
