#!@PREFIX@/current/bin/python
"""Back up what a Hub needs to be set up again, while it runs. Run as root; prints the file.

install.sh fills in the names.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from sqlalchemy import make_url

DATABASE = make_url("@DATABASE@")
FILES = ["@ETC@", "@STATE@/cookie_secret", "/etc/batchspawner/launcher.json"]
FOLDER = Path("@BACKUPS@")
KEPT = int("@BACKUPS_KEPT@")


def dump(folder: Path) -> None:
    """Write the database as it is at one moment; a copy of its file might not be whole."""
    if DATABASE.get_backend_name() == "sqlite":
        source = sqlite3.connect(DATABASE.database)
        target = sqlite3.connect(folder / "jupyterhub.sqlite")
        source.backup(target)
        source.close()
        target.close()
        return
    if DATABASE.get_backend_name() != "postgresql":
        sys.exit(f"backup.py: dump {DATABASE!r} yourself")
    # In arguments, everybody on this machine could read the password.
    given = {
        "PGHOST": DATABASE.host,
        "PGPORT": DATABASE.port,
        "PGUSER": DATABASE.username,
        "PGPASSWORD": DATABASE.password,
        "PGDATABASE": DATABASE.database,
    }
    environment = {name: str(value) for name, value in given.items() if value is not None}
    subprocess.run(
        ["pg_dump", "--no-password", f"--file={folder / 'jupyterhub.sql'}"],
        env={**os.environ, **environment},
        check=True,
    )


def main() -> None:
    """Write one archive, and remove the oldest ones."""
    os.umask(0o077)
    archive = FOLDER / time.strftime("%Y-%m-%dT%H%M%S.tar.gz")
    with tempfile.TemporaryDirectory() as work:
        dump(Path(work))
        Path(work, "release").write_text(os.path.realpath("@PREFIX@/current") + "\n")
        part = archive.with_suffix(".part")
        with tarfile.open(part, "w:gz") as tar:
            for one in [*Path(work).iterdir(), *map(Path, FILES)]:
                tar.add(one, one.name)
        shutil.move(part, archive)
    for old in sorted(FOLDER.glob("*.tar.gz"))[:-KEPT]:
        old.unlink()
    print(archive)


main()
