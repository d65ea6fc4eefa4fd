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
    {"account", "reservation", "mail_user", "options", "prologue", "epilogue", "srun"}
)
"""Variables that decide about more than the size of a job."""

_MAX_DEPTH = 8
"""Number of lists and objects that may be inside each other in the value of an option."""

_MAX_SIZE = 64 * 1024
"""Number of characters of an option, each of its values and names counted as one more."""


@dataclass(frozen=True)
class UndeclaredOptions:
    """The rules for options that no form declares.

    `script_names` are the variables of the job script's template, None if they cannot be known,
    and `packaged` those that the packaged template would have; `configured` is what the spawner
    itself gives to the template. `opened` are names that the administrator has opened, by
    `open_options` or in a form. `has_form` says that a form of the site asks for options.
    """

    script_names: Collection[str] | None
    packaged: Collection[str]
    configured: Mapping[str, object]
    opened: Collection[str]
    has_form: bool
    trust_user_options: bool

    def variables(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return the options that are variables of the job script.

        Raises OptionsRefused for an option that would replace something that is not the user's to
        choose, and for a value that a shell or a line of directives would read as more than a
        value.
        """
        variables = {}
        for name, value in self._read(given).items():
            _check_size(name, value)
            if not self._is_open(name):
                self._refuse_change(name, value)
                continue
            if not self.trust_user_options:
                _check_plain(name, value)
            variables[name] = value
        return variables

    def closed(self, given: Mapping[str, object]) -> frozenset[str]:
        """Return the names that a form of the site could open."""
        read = self._read(given)
        return frozenset(name for name in read if name not in RESERVED and not self._is_open(name))

    def _read(self, given: Mapping[str, object]) -> Mapping[str, object]:
        """Return the options that the template reads."""
        names = given.keys() if self.script_names is None else self.script_names
        return {name: value for name, value in given.items() if name in names}

    def _is_open(self, name: str) -> bool:
        if name in RESERVED:
            return False
        if name in self.opened:
            return True
        if name in _ASK_FIRST:
            return False
        if name in self.configured:
            # A site with a form lets users choose; without one, no option is expected at all.
            return self.has_form
        # Only the site's own script has the others.
        return name not in self.packaged

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


def _check_size(name: str, value: object) -> None:
    """Raise OptionsRefused for a value that is too large, or nested too deeply, for a script."""
    level, size = [value], 0
    for _ in range(_MAX_DEPTH + 1):
        below: list[object] = []
        for one in level:
            if isinstance(one, Mapping):
                below += [*one, *one.values()]
            elif isinstance(one, (list, tuple)):
                below += one
            else:
                size += one.bit_length() if isinstance(one, int) else len(str(one))
        size += len(below)
        if size > _MAX_SIZE:
            allowed = f"it may have {_MAX_SIZE} characters"
            raise OptionsRefused(OptionsError(name, type(value).__name__, allowed))
        if not below:
            return
        level = below
    allowed = f"at most {_MAX_DEPTH} lists and objects may be inside each other"
    raise OptionsRefused(OptionsError(name, type(value).__name__, allowed))


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
