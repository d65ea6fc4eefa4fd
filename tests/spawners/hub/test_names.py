"""The names of a server and its user, as the Hub's database has them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from jupyterhub import orm
from sqlalchemy import event
from sqlalchemy.orm import object_session

from batchspawner import SlurmSpawner
from batchspawner.spawners.hub.jupyterhub import server_name, user_name
from tests.spawners.site import make_spawner


@pytest.fixture
def spawner():
    """A spawner whose user is a row of the database, as in a Hub, and whose server has a name."""
    one = make_spawner(SlurmSpawner)
    session = object_session(one.orm_spawner)
    one.user = SimpleNamespace(orm_user=one.orm_spawner.user, spawners={})
    one.orm_spawner.name = "lab"
    session.commit()
    return one


def test_names_are_read_once_though_the_hub_commits(spawner):
    session = object_session(spawner.orm_spawner)
    known = user_name(spawner), server_name(spawner)
    assert known == (spawner.orm_spawner.user.name, "lab")
    session.commit()
    asked = []
    event.listen(session.bind, "before_cursor_execute", lambda *it: asked.append(it[2]))
    assert (user_name(spawner), server_name(spawner)) == known
    assert spawner.log_name == f"{known[0]}:lab"
    assert asked == []


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_user_who_was_renamed_has_the_new_name(spawner, is_committed):
    session = object_session(spawner.orm_spawner)
    user_name(spawner)
    session.commit()
    spawner.orm_spawner.user.name = "lovelace"
    if is_committed:
        session.commit()
    assert user_name(spawner) == "lovelace"
    assert session.query(orm.User).one().name == "lovelace"
