"""Options that no form of ours declares: what a site has opened, and its own template reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Protocol, Union

from traitlets import Bool, HasTraits, List, TraitError, Unicode, validate

from ...errors import TemplateError
from ...schedulers import template_name
from ...template_mistakes import MISTAKES, mistake_in
from ...templating import names_in, packaged_variables, search_path, variables_of
from ..options.base import RESERVED
from ..options.site_form import FormOptions, offers, single_text
from ..options.undeclared import UndeclaredOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from logging import Logger

Form = Union[str, Callable[..., "str | Awaitable[str]"]]
"""JupyterHub's `options_form`: HTML, or a function of the spawner that returns it."""


# Each empty set would be an object of its own.
_NOTHING: frozenset[str] = frozenset()


class Proposal(Protocol):
    """What traitlets gives to a validator."""

    @property
    def value(self) -> Sequence[object]: ...


class UndeclaredOptionTraits(HasTraits):
    """Traits and methods for options that a site's own form or script knows."""

    template_paths = List(
        Unicode(),
        help="Folders with templates of the site, which come before those of "
        "$BATCHSPAWNER_TEMPLATE_PATH, of /etc/batchspawner/templates and the packaged ones.",
    ).tag(config=True)
    open_options = List(
        Unicode(),
        help="Names of user_options that may replace variables of the job script although no form "
        "declares them. Open without it are names that only the site's own script knows, and, if "
        "a site has a form of its own, the `req_` traits but account, reservation, options, "
        "prologue, epilogue and srun, and whatever its form offers.",
    ).tag(config=True)
    trust_user_options = Bool(
        False,
        help="Take user_options that no form declares with line breaks and shell syntax in them. "
        "For scripts that quote them; any user can then add lines to a script that does not.",
    ).tag(config=True)

    is_asked_elsewhere = False
    """Whether a form around this spawner, such as that of a wrapper, asks for its options."""

    _opened = _NOTHING

    # What the classes beside this one have.
    options_form: Form
    batch_script: str
    scheduler_name: str
    if TYPE_CHECKING:
        log: Logger

        def get_req_subvars(self) -> dict[str, Any]: ...

        async def get_options_form(self) -> object: ...

    @validate("open_options")
    def _check_open_options(self, proposal: Proposal) -> list[object]:
        reserved = sorted(RESERVED.intersection(map(str, proposal.value)))
        if reserved:
            raise TraitError(
                f"open_options cannot have {', '.join(reserved)}: users never choose them"
            )
        return list(proposal.value)

    async def _opened_by_form(self, given: object) -> frozenset[str]:
        """Return the names of options that the site's own form has asked for, or offers."""
        if not given or not isinstance(given, dict):
            return _NOTHING
        if isinstance(given, FormOptions) and given.by_site:
            return frozenset(given)
        closed = self._rules().closed(given)
        if not closed or not self.options_form:
            return _NOTHING
        try:
            offered = offers(str(await self.get_options_form()))
        except Exception:
            # Any code of the site may be in it, and not all of it expects a request by REST.
            self.log.exception("the form is not there to tell what it offers")
            return _NOTHING
        # Of a list that everybody can see, users may choose by any way; what they can write
        # themselves has to come from the form.
        written = [name for name in closed if offered.get(name, ()) is None]
        listed = [name for name in closed if single_text(given[name]) in (offered.get(name) or ())]
        return frozenset(listed + (written if isinstance(given, FormOptions) else []))

    def _undeclared_variables(self) -> dict[str, object]:
        given = getattr(self, "user_options", None)
        return self._rules().variables(given) if given else {}

    def _rules(self) -> UndeclaredOptions:
        return UndeclaredOptions(
            script_names=self.script_names(),
            packaged=frozenset() if self.batch_script else packaged_variables(self.scheduler_name),
            configured={**self.get_req_subvars(), "cmd": None, "path": None},
            opened={*self.open_options, *self._opened},
            has_form=bool(self.options_form) or self.is_asked_elsewhere,
            trust_user_options=self.trust_user_options,
        )

    @property
    def template_folders(self) -> tuple[str, ...]:
        """Folders in which templates are looked for before the packaged ones."""
        return search_path(self.template_paths)

    def script_names(self, *, bare: bool = False) -> frozenset[str] | None:
        """Return the variables that the job script's template names, None if that is unknown.

        With `bare`, those that stand anywhere without being quoted.
        """
        text = getattr(self, "batch_script", "")
        scheduler = getattr(self, "scheduler_name", "")
        if not text and scheduler:
            try:
                return variables_of(
                    template_name(scheduler), self.template_folders, "spawner", bare=bare
                )
            except TemplateError:
                # A site's own code makes the script.
                return None
        try:
            return names_in(text)
        except MISTAKES as error:
            raise mistake_in(f"c.{type(self).__name__}.batch_script", text, error) from error
