"""The Hub's session with its database, whose transaction may have failed, or which may be away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import object_session

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def session_of(row: object) -> Session | None:
    """Return the session that a row of the database belongs to; None for no row, or a loose one."""
    return object_session(row) if row is not None else None


def end_failed_transaction(session: Session) -> None:
    """Roll back a transaction of the Hub in which the database has refused a write.

    JupyterHub does it at its next request. Until then nothing can be read either, not even the name
    of a server.
    """
    if not session.is_active:
        session.rollback()


def answers(session: Session) -> bool:
    """Check whether the database answers, over a new connection if the last one was lost."""
    for _ in range(2):
        end_failed_transaction(session)
        try:
            session.execute(select(1))
        except SQLAlchemyError:
            session.rollback()
        else:
            return True
    return False


def said_by(error: SQLAlchemyError) -> str:
    """Return what the database said; SQLAlchemy's words have all that was to be written."""
    return str(getattr(error, "orig", None) or type(error).__name__)
