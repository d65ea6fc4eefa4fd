"""End what the agent has started when the agent is killed and cannot do it itself."""

from __future__ import annotations

import contextlib
import subprocess

# Every program leads a session of its own, so neither a signal to the agent's group nor a
# scheduler without control groups ends it. This shell is told of each, and outlives the agent.
_WATCH = """
trap '' HUP INT QUIT TERM USR1 USR2 XCPU
set --
while read -r change group folder; do
    if [ "$change" = begun ]; then
        set -- "$@" "$group" "$folder"
        continue
    fi
    count=$#
    while [ "$count" -gt 0 ]; do
        [ "$1" = "$group" ] || set -- "$@" "$1" "$2"
        shift 2
        count=$((count - 2))
    done
done
while [ "$#" -gt 0 ]; do
    kill -s KILL -- "-$1"
    [ -z "$2" ] || rm -rf -- "$2"
    shift 2
done
"""

_FAREWELL = 1.0
"""Seconds that the shell may take to end, once there is nothing to watch."""


class Guard:
    """Kill the process groups that have begun and not ended, when this process is gone.

    Their folders, in which there are keys, go with them.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def begun(self, group: int, folder: str) -> None:
        """Watch one more group, and its folder, if it has one."""
        if self._process is None:
            # Not where the job ends with its output, or a file system is to be unmounted.
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                bufsize=0,
                start_new_session=True,
            )
        self._tell(f"begun {group} {folder}\n")

    def ended(self, group: int) -> None:
        """Watch a group no longer; its number may come to belong to another."""
        self._tell(f"ended {group}\n")

    def close(self) -> None:
        """End the watch, and what still runs."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_FAREWELL)

    def _tell(self, line: str) -> None:
        # Somebody may have killed the shell: then nothing is watched any more, and all goes on.
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(line.encode())
