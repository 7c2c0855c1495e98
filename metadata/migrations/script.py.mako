"""${message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "${up_revision}"
down_revision = ${'"%s"' % down_revision if down_revision else None}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The tables after this change."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """The tables before it."""
    ${downgrades if downgrades else "pass"}
