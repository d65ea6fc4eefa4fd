"""Keep secrets out of logs: an environment that does not print itself."""

from __future__ import annotations


class PrivateEnvironment(dict[str, str]):
    """Be a dictionary of environment variables that shows their names, never their values."""

    def __repr__(self) -> str:
        return f"<{len(self)} variables: {', '.join(sorted(self)) or 'none'}>"

    __str__ = __repr__
