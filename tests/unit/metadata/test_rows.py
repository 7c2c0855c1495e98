"""Rows as objects say what the tables say."""

from types import NoneType, UnionType
from typing import get_args

import pytest
from sqlalchemy import JSON, BigInteger, Engine
from sqlmodel import Session, select

from metadata import rows
from metadata.rows import Row
from metadata.tables import EVENTS, METADATA


def classes() -> list[type[Row]]:
    return [value for value in vars(rows).values() if isinstance(value, type) and issubclass(value, Row)][1:]


def test_every_table_has_a_class_bound_to_it_and_no_other() -> None:
    assert {row.__table__ for row in classes()} == set(METADATA.tables.values())


@pytest.mark.parametrize("row", classes(), ids=lambda row: row.__name__)
def test_a_field_holds_what_its_column_holds(row: type[Row]) -> None:
    for column in row.__table__.c:
        told = row.model_fields[column.name].annotation
        kinds = get_args(told) if isinstance(told, UnionType) else (told,)
        numbered = column.name == "id" and isinstance(column.type, BigInteger)
        assert (NoneType in kinds) == (column.nullable or numbered), column
        assert isinstance(column.type, JSON) or column.type.python_type in kinds, column


def test_a_class_that_knows_other_columns_than_its_table_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Short and the table events disagree about at, kind, message, run_id"):

        class Short(Row, table=True):
            __table__ = EVENTS
            id: int | None
            subject: str


def test_a_row_is_written_with_the_defaults_of_its_columns_and_found_again(engine: Engine) -> None:
    with Session(engine.execution_options(writing=True)) as session:
        session.add(rows.Run(id="a", name="n", state="NEW", plan={}, created_at=1.0))
        session.commit()
        (found,) = session.exec(select(rows.Run).where(rows.Run.state == "NEW")).all()
        assert (found.id, found.wanted, found.fresh, found.message, found.ended_at) == ("a", "run", False, "", None)
