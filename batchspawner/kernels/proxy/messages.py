"""The few Jupyter messages that the proxy reads and writes while a kernel waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_client.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LANGUAGES = {
    "python": ("python", "text/x-python", ".py"),
    "r": ("R", "text/x-r-source", ".r"),
    "julia": ("julia", "application/julia", ".jl"),
    "bash": ("bash", "text/x-sh", ".sh"),
}


class Message:
    """A message with a valid signature; its reply goes to `identities`."""

    def __init__(self, identities: list[bytes], fields: Mapping[str, dict[str, Any]]) -> None:
        self.identities = identities
        self.header = fields["header"]
        self.parent = fields["parent_header"]
        self.content = fields["content"]

    @property
    def type(self) -> str:
        return str(self.header.get("msg_type", ""))

    @property
    def id(self) -> str:
        return str(self.header.get("msg_id", ""))


class Messages:
    """Reader and writer of messages with the kernel's key."""

    def __init__(self, key: bytes, scheme: str) -> None:
        self._session = Session(
            key=key, signature_scheme=scheme, username="batchspawner", check_pid=False
        )

    def write(
        self,
        kind: str,
        content: Mapping[str, Any],
        parent: Mapping[str, Any] | None = None,
        identities: Sequence[bytes] = (),
    ) -> list[bytes]:
        """Return the frames of a signed message."""
        above = {"header": dict(parent)} if parent else None
        message = self._session.msg(kind, content=dict(content), parent=above)
        return [*identities, *self._session.serialize(message)]

    def read(self, frames: Sequence[bytes]) -> Message:
        """Return a message. Raises ValueError if it is malformed, or signed with another key."""
        try:
            identities, parts = self._session.feed_identities(list(frames), copy=True)
            return Message(identities, self._session.deserialize(parts, copy=True))
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"not a Jupyter message: {error!r}") from error


def kernel_info(language: str) -> dict[str, Any]:
    """Return the content of a kernel_info_reply for a kernel that has not started yet."""
    name, mimetype, extension = _LANGUAGES.get(
        language.lower(), (language or "unknown", "text/plain", ".txt")
    )
    return {
        "status": "ok",
        "protocol_version": "5.3",
        "implementation": "batchspawner",
        "implementation_version": "1",
        "banner": "The kernel waits for its job.",
        "help_links": [],
        "language_info": {
            "name": name,
            "version": "",
            "mimetype": mimetype,
            "file_extension": extension,
        },
    }
