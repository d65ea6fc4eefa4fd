"""What users may choose for their job, and the check of what they chose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Protocol, Union

from jupyterhub.utils import maybe_future
from traitlets import Bool, Dict, HasTraits, List, TraitError, Unicode, default, validate

from ...errors import OptionsError, TemplateError
from ...schedulers import template_name
from ...templating import names_in, search_path, variables_of
from ..options.base import RESERVED
from ..options.declarations import field_of
from ..options.form import render_options
from ..options.queue_info import QueueInfo, query_queue_info, queue_table
from ..options.resource_form import REQUESTED, ResourceForm
from ..options.schema import OptionsRefused, Schema
from ..options.undeclared import UndeclaredOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from ..options.base import Value
    from ..options.fields import Field
    from .resources import JobOwner

Form = Union[str, Callable[..., "str | Awaitable[str]"]]
"""JupyterHub's `options_form`: HTML, or a function of the spawner that returns it."""


class Proposal(Protocol):
    """What traitlets gives to a validator."""

    @property
    def value(self) -> Sequence[object]: ...


class ChoiceTraits(HasTraits):
    """Traits and methods for options, which come from a form, an address or the REST API."""

    resource_form = Bool(
        False,
        help="Let users choose queue, cores, memory, GPUs, time, account and reservation in a "
        "form. It has no effect if options_form is set.",
    ).tag(config=True)
    resource_fields = List(
        Unicode(),
        help="Which fields the resource form has, by name; by default all that the template of "
        "the job script uses.",
    ).tag(config=True)
    queue_limits = Dict(
        help="The queues of the resource form, each with the limits of its jobs: "
        '{"debug": {"nprocs": 4, "memory": "16G", "ngpus": 0, "runtime": "1:00:00", '
        '"label": "Debug", "help": "For short tests."}}. Without it, the scheduler is asked.'
    ).tag(config=True)
    option_fields: List[Field] = List(
        help="More fields of the form, or others in place of its own: objects of "
        "batchspawner.spawners.options, or dictionaries. Each is a variable of the job script."
    ).tag(config=True)
    template_paths = List(
        Unicode(),
        help="Folders with templates of the site, which come before those of "
        "$BATCHSPAWNER_TEMPLATE_PATH, of /etc/batchspawner/templates and the packaged ones.",
    ).tag(config=True)

    open_options = List(
        Unicode(),
        help="Names of user_options that may replace variables of the job script although no form "
        "declares them. Open without it are names that only the script of batch_script knows, "
        "and, if a site has a form of its own, all but account, reservation, options, "
        "prologue, epilogue and srun.",
    ).tag(config=True)
    trust_user_options = Bool(
        False,
        help="Take user_options that no form declares with line breaks and shell syntax in them. "
        "For scripts that quote them; any user can then add lines to a script that does not.",
    ).tag(config=True)

    is_asked_elsewhere = False
    """Whether a form around this spawner, such as that of a wrapper, asks for its options."""

    _chosen: Mapping[str, Value] | None = None
    _refused: Mapping[str, object] | None = None

    # What the classes beside this one have.
    user: JobOwner
    user_options: dict[str, object]
    options_form: Form
    exec_prefix: str
    batch_script: str
    scheduler_name: str
    if TYPE_CHECKING:

        def get_req_subvars(self) -> dict[str, Any]: ...

    @validate("option_fields")
    def _check_option_fields(self, proposal: Proposal) -> list[Field]:
        return list(Schema(tuple(map(field_of, proposal.value))).fields)

    @validate("open_options")
    def _check_open_options(self, proposal: Proposal) -> list[object]:
        reserved = sorted(RESERVED.intersection(map(str, proposal.value)))
        if reserved:
            raise TraitError(
                f"open_options cannot have {', '.join(reserved)}: users never choose them"
            )
        return list(proposal.value)

    @default("options_form")
    def _options_form_default(self) -> Form:
        return _own_form if self.resource_form or self.option_fields else ""

    @default("options_from_form")
    def _options_from_form(self) -> Callable[..., Any]:
        # The default of JupyterHub would not check the form.
        return self.read_form if self.has_own_form else super()._options_from_form()  # type: ignore[misc]

    @default("apply_user_options")
    def _apply_user_options_default(self) -> Callable[..., Awaitable[None]]:
        return _apply

    @property
    def has_own_form(self) -> bool:
        """Whether the form is the one of this class, and not a site's own."""
        return getattr(self, "options_form", None) is _own_form

    async def option_schema(self) -> Schema | None:
        """Return what users may choose, None if nothing is declared."""
        if not self.has_own_form:
            return None
        own = {field.name: field for field in self.option_fields}
        standard = self.resource_form_fields(await self.queue_info()) if self.resource_form else []
        replaced = [own.pop(field.name, field) for field in standard]
        return Schema((*replaced, *own.values()))

    def resource_form_fields(self, info: QueueInfo) -> list[Field]:
        """Return the fields of the resource form that the job script's template uses."""
        names = self.resource_fields or self.script_names()
        configured = {name: str(getattr(self, f"req_{name}", "")) for name in REQUESTED}
        made = ResourceForm(configured, self.queue_limits, info).fields()
        return [field for field in made if names is None or field.name in names]

    async def queue_info(self) -> QueueInfo:
        """Return what is known of the scheduler's queues."""
        if not self.resource_form:
            return QueueInfo()
        return await query_queue_info(self.scheduler_name, self.exec_prefix, self.user.name)

    async def take_options(self, given: object) -> None:
        """Check a user's choice and keep it for the job. Raises OptionsRefused, which says why."""
        schema = await self.option_schema()
        if schema is None:
            return
        try:
            self.set_chosen(schema.check(given))
        except OptionsError as error:
            raise OptionsRefused(error) from error

    @property
    def chosen(self) -> Mapping[str, Value] | None:
        """The checked choice of the user; None if this spawner declares no options."""
        return self._chosen

    def set_chosen(self, values: Mapping[str, Value] | None) -> None:
        """Set the checked choice of the user, None to forget it; nothing else changes it.

        `take_options` calls it and, for a server in a profile, the wrapper, which has checked the
        profile's options together with those of this spawner.
        """
        self._chosen = None if values is None else dict(values)

    async def read_form(self, form: Mapping[str, Sequence[str]]) -> dict[str, Value]:
        """Return the checked options in a form or an address; JupyterHub calls it with both."""
        schema = await self.option_schema() or Schema()
        self._refused = given = schema.from_form(form)
        try:
            options = schema.check(given)
        except OptionsError as error:
            raise OptionsRefused(error) from error
        self._refused = None
        return options

    async def own_form(self) -> str:
        """Return the form, filled with what was refused just now, or chosen the last time."""
        schema = await self.option_schema() or Schema()
        last = self._refused if self._refused is not None else self.user_options
        self._refused = None
        about = queue_table(await self.queue_info())
        return render_options(schema, schema.restored(last), self.template_folders, about)

    def chosen_variables(self) -> dict[str, object]:
        """Return the user's choice as variables of the job script.

        Raises OptionsRefused if no form declares the options and one of them is not open.
        """
        if self._chosen is None:
            return self._undeclared_variables()
        # A site's partition would rule over the queue that the user chose.
        cleared = {"partition": ""} if "queue" in self._chosen else {}
        return {**cleared, **self._chosen}

    def _undeclared_variables(self) -> dict[str, object]:
        given = getattr(self, "user_options", None)
        if not given:
            return {}
        rules = UndeclaredOptions(
            script_names=self.script_names(),
            configured={**self.get_req_subvars(), "cmd": None, "path": None},
            open_options=self.open_options,
            has_form=bool(self.options_form) or self.is_asked_elsewhere,
            has_own_script=bool(self.batch_script),
            trust_user_options=self.trust_user_options,
        )
        return rules.variables(given)

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
        return names_in(text)


async def _own_form(spawner: ChoiceTraits) -> str:
    """Render the form; JupyterHub calls it with the spawner."""
    return await spawner.own_form()


async def _apply(spawner: ChoiceTraits, options: dict[str, object]) -> None:
    """Check the options of a start; JupyterHub >= 5.3 calls it, however they came."""
    await maybe_future(spawner.take_options(options))
