"""Make spawners with a Hub's database behind them, but without a Hub."""

from __future__ import annotations

import getpass
from types import SimpleNamespace

from jupyterhub import orm
from sqlalchemy.orm import object_session
from traitlets.config import Config

OWNER = getpass.getuser()
TOKEN = "a-secret-token"

_databases: list = []


def close_databases() -> None:
    """Close what `make_spawner` has opened."""
    while _databases:
        db = _databases.pop()
        engine = db.get_bind()
        db.close()
        engine.dispose()


def make_spawner(
    cls,
    config: dict | None = None,
    user_options: dict | None = None,
    database: str = ":memory:",
    **traits,
):
    """Return a spawner of the user who runs the tests; config: {"ClassName": {trait: value}}."""
    waits = {"connect_args": {"timeout": 0.05}} if database != ":memory:" else {}
    db = orm.new_session_factory(f"sqlite:///{database}", **waits)()
    owner = orm.User(name=OWNER)
    row = orm.Spawner(name="", user=owner, server=orm.Server(base_url=f"/user/{OWNER}/"))
    db.add_all([owner, row])
    db.commit()
    _databases.append(db)
    spawner = restored(cls, row, config, **traits)
    spawner.user_options = user_options or {}
    return spawner


def make_spawners(cls, number: int, **traits) -> list:
    """Return spawners of as many servers of one user, in one database."""
    first = make_spawner(cls, **traits)
    session, owner = object_session(first.orm_spawner), first.orm_spawner.user
    rows = [
        orm.Spawner(name=f"s{n}", user=owner, server=orm.Server(base_url=f"/user/{OWNER}/s{n}/"))
        for n in range(1, number)
    ]
    session.add_all(rows)
    session.commit()
    return [first, *(restored(cls, row, **traits) for row in rows)]


def restored(cls, row, config: dict | None = None, **traits):
    """Return a spawner for a row of the database, as a Hub does that has just started."""
    hub = SimpleNamespace(
        public_host="",
        api_url="http://127.0.0.1:8081/hub/api",
        base_url="/hub/",
        routespec="/hub/",
        url="http://127.0.0.1:8081/hub/",
    )
    user = SimpleNamespace(
        name=OWNER,
        escaped_name=OWNER,
        url=f"/user/{OWNER}/",
        id=1,
        settings={},
        admin=False,
    )
    spawner = cls(
        config=Config({name: Config(values) for name, values in (config or {}).items()}),
        user=user,
        hub=hub,
        orm_spawner=row,
        oauth_client_id="client",
        api_token=TOKEN,
        **traits,
    )
    spawner.load_state(row.state or {})
    return spawner


def stored_state(spawner) -> dict:
    """Return what a Hub that starts now would read from the database."""
    session = object_session(spawner.orm_spawner)
    session.rollback()
    return session.get(orm.Spawner, spawner.orm_spawner.id).state or {}


async def apply_options(spawner, options: object) -> None:
    """Hand over a user's options as JupyterHub >= 5.3 does, or as our hook does on older ones."""
    await getattr(spawner, "_run_apply_user_options", spawner.take_options)(options)
