"""The language of whoever reads a page or a form of the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...templating import search_path
from ...translation import best_catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tornado.web import RequestHandler

    from ...translation import Catalogue


class FormReader:
    """Whoever reads the form of one spawner: the languages that the browser accepts.

    JupyterHub forgets the request for a form when an earlier start ends, so they are kept for the
    answer to what the form sends.
    """

    def __init__(self) -> None:
        self._accepted = ""

    def catalogue(
        self, handler: RequestHandler | None, site_language: str, folders: Sequence[str]
    ) -> Catalogue:
        """Return the catalogue for what answers a request; without one, that of the request before.

        `folders` are those of the site's templates.
        """
        if handler is not None:
            self._accepted = accepted_languages(handler)
        return best_catalogue(self._accepted, site_language, folders)

    def note_form(self, language: str) -> None:
        """Note the language in which a form says that it was shown.

        JupyterHub reads it with another spawner than showed it, if the last start has failed.
        """
        self._accepted = self._accepted or language


def accepted_languages(handler: RequestHandler | None) -> str:
    """Return the header Accept-Language of a request, empty if there is none."""
    headers: Any = getattr(getattr(handler, "request", None), "headers", {})
    return str(headers.get("Accept-Language", ""))


def page_catalogue(handler: Any) -> Catalogue:
    """Return the catalogue for a page or events of JupyterHub, which depend on no spawner.

    The language and the folders of the site are those of BatchSpawnerBase in its configuration.
    """
    site = (getattr(handler, "config", None) or {}).get("BatchSpawnerBase", {})
    folders, language = site.get("template_paths"), site.get("language")
    return best_catalogue(
        accepted_languages(handler),
        language if isinstance(language, str) else "",
        search_path(folders if isinstance(folders, list) else ()),
    )
