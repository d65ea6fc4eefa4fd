"""Search for secrets in everything that this user may read; started as another user.

Reads one line of JSON: `secrets`, `folders`, `since`, `commands` and `watches`. If it `watches`,
it looks at the processes again and again until its standard input ends; then it looks at all else,
and prints where it found what.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import stat
import subprocess
import sys
from pathlib import Path

CODE = re.compile(rb"[A-Za-z0-9_-]{43}\.claim-[0-9]+")
LARGEST = 20_000_000


def hits(data: bytes, secrets: list[bytes], *, is_own: bool = False) -> bool:
    """Check for the secrets, and for any claim code where that is not of a server of our own."""
    return (not is_own and bool(CODE.search(data))) or any(secret in data for secret in secrets)


def in_file(path: str, secrets: list[bytes]) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        is_own = os.fstat(file.fileno()).st_uid == os.getuid()
        return hits(file.read(LARGEST), secrets, is_own=is_own)
    return False


def in_processes(secrets: list[bytes]) -> set[str]:
    """Return which processes show a secret in their arguments or their environment."""
    found = set()
    for number in filter(str.isdigit, os.listdir("/proc")):
        if int(number) == os.getpid():
            continue
        for name in ("cmdline", "environ"):
            if in_file(f"/proc/{number}/{name}", secrets):
                command = b""
                with contextlib.suppress(OSError):
                    command = Path(f"/proc/{number}/cmdline").read_bytes()
                found.add(f"{name} of {command.replace(bytes(1), b' ')[:60]!r}")
    return found


def in_folder(folder: str, since: float, secrets: list[bytes]) -> set[str]:
    """Return which files of a folder, or whether a file, written since then shows a secret."""
    paths = [folder]
    for place, _, names in os.walk(folder):
        paths += [os.path.join(place, name) for name in names]
    found = set()
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            if stat.S_ISREG(status.st_mode) and status.st_ctime >= since and in_file(path, secrets):
                found.add(path)
    return found


def in_answer(argv: list[str], secrets: list[bytes]) -> set[str]:
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True)
    except OSError:
        return set()
    return {" ".join(argv)} if hits(done.stdout + done.stderr, secrets) else set()


def main() -> None:
    order = json.loads(sys.stdin.readline())
    secrets = [secret.encode() for secret in order["secrets"]]
    found = in_processes(secrets)
    while not select.select([sys.stdin], [], [], 0.05 if order["watches"] else None)[0]:
        found |= in_processes(secrets)
    found |= in_processes(secrets)
    for folder in order["folders"]:
        found |= in_folder(folder, order["since"], secrets)
    for argv in order["commands"]:
        found |= in_answer(argv, secrets)
    print(json.dumps(sorted(found)))


if __name__ == "__main__":
    main()
