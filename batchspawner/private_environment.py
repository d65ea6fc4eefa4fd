"""Environment variables that do not show their values in logs."""

from __future__ import annotations


class PrivateEnvironment(dict[str, str]):
    """A dictionary of environment variables whose text shows their names, never their values."""

    def __repr__(self) -> str:
        return f"<{len(self)} variables: {', '.join(sorted(self)) or 'none'}>"

    __str__ = __repr__
