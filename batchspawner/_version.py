"""The version of this distribution."""

__version__ = "2.0.0.dev0"
version_info = tuple(int(part) if part.isdigit() else part for part in __version__.split("."))
