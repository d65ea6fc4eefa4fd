"""Let users choose what their job asks for, and check what they chose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyterhub.utils import maybe_future
from traitlets import Bool, Dict, HasTraits, List, TraitError, Unicode, default, validate

from ...errors import OptionsError, TemplateError
from ...schedulers import template_name
from ...templating import names_in, search_path, variables_of
from ..options.declarations import field_of
from ..options.form import render_options
from ..options.queue_info import Offer, look_at_offer, shown_offer
from ..options.resource_form import resource_fields
from ..options.schema import OptionsRefused, Schema
from ..options.undeclared import NEVER, undeclared_variables

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..options.fields import Field


class ChoiceTraits(HasTraits):
    """Offer a form, and take options from it, from an address and from the REST API alike."""

    resource_form = Bool(
        False,
        help="Let users choose queue, cores, memory, GPUs, time, account and reservation in a "
        "form. It has no effect where options_form is set.",
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
    option_fields: Any = List(
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
        "and, where a site has a form of its own, all but account, reservation, options, "
        "prologue, epilogue and srun.",
    ).tag(config=True)
    trust_user_options = Bool(
        False,
        help="Take user_options that no form declares with line breaks and shell syntax in them. "
        "For scripts that quote them; any user can then add lines to a script that does not.",
    ).tag(config=True)

    is_asked_elsewhere = False
    """Whether a form around this spawner, such as that of a wrapper, asks for its options."""

    chosen: dict[str, Any] | None = None
    """The checked choice of the user; None where this spawner declares no options."""

    _refused: dict[str, Any] | None = None

    @validate("option_fields")
    def _check_option_fields(self, proposal: Any) -> list[Field]:
        return list(Schema(tuple(map(field_of, proposal.value))).fields)

    @validate("open_options")
    def _check_open_options(self, proposal: Any) -> list[str]:
        never = sorted(NEVER.intersection(proposal.value))
        if never:
            raise TraitError(
                f"open_options cannot have {', '.join(never)}: users never choose them"
            )
        return list(proposal.value)

    @default("options_form")
    def _options_form_default(self) -> Any:
        return _own_form if self.resource_form or self.option_fields else ""

    @default("options_from_form")
    def _options_from_form(self) -> Callable[..., Any]:
        # The default of JupyterHub takes the form as it is.
        return self.read_form if self.has_own_form else super()._options_from_form()  # type: ignore[misc]

    @default("apply_user_options")
    def _apply_user_options_default(self) -> Callable[[Any, dict[str, Any]], Awaitable[None]]:
        return _apply

    @property
    def has_own_form(self) -> bool:
        """Whether the form is the one of this class, and not a site's own."""
        return getattr(self, "options_form", None) is _own_form

    async def option_schema(self) -> Schema | None:
        """Return what users may choose, None where nothing is declared."""
        if not self.has_own_form:
            return None
        own = {field.name: field for field in self.option_fields}
        offered = resource_fields(self, await self.offer()) if self.resource_form else []
        replaced = [own.pop(field.name, field) for field in offered]
        return Schema((*replaced, *own.values()))

    async def offer(self) -> Offer:
        """Return what the scheduler offers, as far as that is known."""
        return await look_at_offer(self) if self.resource_form else Offer()

    async def take_options(self, given: object) -> None:
        """Check a user's choice. Raises OptionsRefused, which says what is allowed."""
        schema = await self.option_schema()
        if schema is None:
            return
        try:
            self.chosen = schema.check(given)
        except OptionsError as error:
            raise OptionsRefused(error) from error

    async def read_form(self, form: dict[str, list[str]]) -> dict[str, Any]:
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
        last = self._refused if self._refused is not None else self.user_options  # type: ignore[attr-defined]
        self._refused = None
        about = shown_offer(await self.offer())
        return render_options(schema, schema.restored(last), self.template_folders, about)

    def chosen_variables(self) -> dict[str, Any]:
        """Return the user's choice as variables of the job script."""
        if self.chosen is None:
            return undeclared_variables(self)
        # A site's partition would rule over the queue that the user chose.
        rid = {"partition": ""} if "queue" in self.chosen else {}
        return {**rid, **self.chosen}

    @property
    def template_folders(self) -> tuple[str, ...]:
        """Where templates are looked for before the packaged ones."""
        return search_path(self.template_paths)

    def script_names(self, *, bare: bool = False) -> frozenset[str] | None:
        """Return the variables that the job script's template names, None if nobody can tell.

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


async def _apply(spawner: Any, options: dict[str, Any]) -> None:
    """Check the options of a start; JupyterHub >= 5.3 calls it, however they came."""
    await maybe_future(spawner.take_options(options))
