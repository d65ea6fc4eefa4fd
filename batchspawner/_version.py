"""Version of this distribution; `tbump` changes it (RELEASE.md)."""

__version__ = "2.0.0.dev0"
version_info = tuple(int(part) if part.isdigit() else part for part in __version__.split("."))
