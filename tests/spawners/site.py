"""Make spawners with a Hub's database behind them, but without a Hub."""

from __future__ import annotations

import getpass
from functools import cache
from types import SimpleNamespace

from jupyterhub import orm
from sqlalchemy import create_engine
from sqlalchemy.orm import object_session, sessionmaker
from sqlalchemy.pool import StaticPool
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
    db = _in_memory() if database == ":memory:" else _in_file(database)
    owner = orm.User(name=OWNER)
    row = orm.Spawner(name="", user=owner, server=orm.Server(base_url=f"/user/{OWNER}/"))
    db.add_all([owner, row])
    db.commit()
    _databases.append(db)
    spawner = restored(cls, row, config, **traits)
    spawner.user_options = user_options or {}
    return spawner


def _in_file(database: str):
    waits = {"connect_args": {"timeout": 0.05}}
    return orm.new_session_factory(f"sqlite:///{database}", **waits)()


def _in_memory():
    """Return a session as of JupyterHub, without the 40 ms that the new tables of one take."""
    engine = create_engine(
        "sqlite:///:memory:",
        connect_args={"check_same_thread": False},
        poolclass=StaticPool,
        future=True,
    )
    orm.register_foreign_keys(engine)
    orm.register_ping_connection(engine)
    connection = engine.raw_connection()
    connection.driver_connection.executescript(_new_tables())
    connection.close()
    return sessionmaker(bind=engine, expire_on_commit=False)()


@cache
def _new_tables() -> str:
    """Return the SQL of a Hub's database that is new."""
    db = orm.new_session_factory()()
    _databases.append(db)
    return "\n".join(db.connection().connection.driver_connection.iterdump())


def make_spawners(cls, number: int, database: str = ":memory:", **traits) -> list:
    """Return spawners of as many servers of one user, in one database."""
    first = make_spawner(cls, database=database, **traits)
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
    given = dict(config or {})
    # The user who runs the tests may be root.
    given["BatchSpawnerBase"] = {"smallest_uid": 0, **given.get("BatchSpawnerBase", {})}
    spawner = cls(
        config=Config({name: Config(values) for name, values in given.items()}),
        user=user,
        hub=hub,
        orm_spawner=row,
        oauth_client_id="client",
        api_token=TOKEN,
        **traits,
    )
    spawner.load_state(row.state or {})
    return spawner


async def start(spawner) -> tuple[str, int]:
    """Start a server as JupyterHub does, which stores its address and its state."""
    host, port = await spawner.start()
    spawner.server.ip, spawner.server.port = host, port
    spawner.orm_spawner.state = spawner.get_state()
    object_session(spawner.orm_spawner).commit()
    return host, port


def stored_state(spawner) -> dict:
    """Return what a Hub that starts now would read from the database."""
    session = object_session(spawner.orm_spawner)
    session.rollback()
    session.expire_all()
    return session.get(orm.Spawner, spawner.orm_spawner.id).state or {}


def unstored(spawner) -> list:
    """Return what JupyterHub would roll back if a request of anybody ended now."""
    return list(object_session(spawner.orm_spawner).dirty)


def lose_connection(spawner) -> None:
    """End the connection to the database in the middle of a transaction, as its restart does."""
    object_session(spawner.orm_spawner).connection().invalidate()


def take_away(database) -> None:
    """Make a database refuse all connections until it is given back."""
    database.rename(database.with_suffix(".away"))
    database.mkdir()


def give_back(database) -> None:
    database.rmdir()
    database.with_suffix(".away").rename(database)


async def apply_options(spawner, options: object) -> None:
    """Hand over a user's options as JupyterHub >= 5.3 does, or as our hook does on older ones."""
    await getattr(spawner, "_run_apply_user_options", spawner.take_options)(options)
