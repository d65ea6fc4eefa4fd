"""Options in `user_options` that a site's template reads although no form declares them.

A template may always name what the site's own form asks for. But a user can replace nothing that
the administrator has not opened, and a value cannot become another line, another option or
another command.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ...errors import OptionsError
from ...templating import check_plain
from .base import RESERVED
from .schema import OptionsRefused

_ASK_FIRST = frozenset(
    {"account", "reservation", "options", "prologue", "epilogue", "srun", "front_end"}
)
"""Variables that open_options has to name: they decide about more than the size of a job."""

_PACKAGED = frozenset({"job_name", "log"})
"""Variables of the packaged templates that are not traits."""


@dataclass(frozen=True)
class UndeclaredOptions:
    """The rules for options that no form declares.

    `script_names` are the variables of the job script's template, None if they cannot be known;
    `configured` is what the spawner itself gives to the template. `has_form` says that a form of
    the site asks for options, `has_own_script` that the template is one of the configuration.
    """

    script_names: Collection[str] | None
    configured: Mapping[str, object]
    open_options: Collection[str]
    has_form: bool
    has_own_script: bool
    trust_user_options: bool

    def variables(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return the options that are variables of the job script.

        Raises OptionsRefused for an option that would replace something that is not the user's to
        choose, and for a value that a shell or a line of directives would read as more than a
        value.
        """
        variables = {}
        for name, value in given.items():
            if self.script_names is not None and name not in self.script_names:
                continue
            if not self._is_open(name):
                self._refuse_change(name, value)
                continue
            if not self.trust_user_options:
                _check_plain(name, value)
            variables[name] = value
        return variables

    def _is_open(self, name: str) -> bool:
        if name in RESERVED:
            return False
        if name in self.open_options:
            return True
        if name in _ASK_FIRST:
            return False
        if name in self.configured:
            # A site with a form lets users choose; without one, no option is expected at all.
            return self.has_form
        return self.has_own_script or name not in _PACKAGED

    def _refuse_change(self, name: str, value: object) -> None:
        """Raise OptionsRefused for a value that is not the configured one."""
        # A hook of the site may have put it into the trait already, as it saw fit.
        if value in ("", None) or str(value) == str(self.configured.get(name)):
            return
        allowed = "it is not for users to choose here"
        if name not in RESERVED:
            allowed += (
                f"; an administrator can open it: c.BatchSpawnerBase.open_options = [{name!r}]"
            )
        raise OptionsRefused(OptionsError(name, str(value)[:60], allowed))


def _check_plain(name: str, value: object) -> None:
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple)):
        for one in value:
            _check_plain(name, one)
        return
    try:
        check_plain(name, value)
    except OptionsError as error:
        raise OptionsRefused(error) from error
