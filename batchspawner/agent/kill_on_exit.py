"""Kill what the agent has started, should the agent itself be killed and unable to do so."""

from __future__ import annotations

import contextlib
import subprocess

# Every program leads a session of its own, so neither a signal to the agent's group nor a
# scheduler without control groups ends it. This shell is told of each, and outlives the agent.
_SHELL_SCRIPT = """
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

_CLOSE_TIMEOUT_S = 1.0


class KillOnExit:
    """A shell that kills the process groups that still run when this process is gone.

    It removes their folders, too, which hold keys.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def begun(self, group: int, folder: str) -> None:
        """Add a process group, and its folder, if it has one."""
        if self._process is None:
            # Not where the job ends with its output, or a file system is to be unmounted.
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SHELL_SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                bufsize=0,
                start_new_session=True,
            )
        self._write(f"begun {group} {folder}\n")

    def ended(self, group: int) -> None:
        """Remove a process group, whose number may be used for another one now."""
        self._write(f"ended {group}\n")

    def close(self) -> None:
        """Kill what still runs, and end the shell."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_CLOSE_TIMEOUT_S)

    def _write(self, line: str) -> None:
        # Somebody may have killed the shell: then nothing is killed, and the agent goes on.
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(line.encode())
