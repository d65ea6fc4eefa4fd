"""What users may choose for their job, and the check of what they chose."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Callable, cast

from jupyterhub.spawner import Spawner
from jupyterhub.utils import maybe_future
from traitlets import Bool, Dict, Instance, List, Unicode, default, validate

from ...errors import OptionsError
from ...translation import translated_by
from ..hub.jupyterhub import estimate_url_of, store_of
from ..hub.reader_language import FormReader
from ..options.declarations import field_of
from ..options.field_kinds import Choice
from ..options.form import render_options
from ..options.presets import named_preset, preset_options, shown_presets
from ..options.queue_info import QueueInfo, query_queue_info, queue_table
from ..options.resource_form import REQUESTED, ResourceForm
from ..options.schema import OptionsRefused, Schema, language_of
from ..options.site_form import marked
from ..options.start_estimate import estimate_start
from .undeclared_options import Form, Proposal, UndeclaredOptionTraits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence
    from logging import Logger

    from tornado.web import RequestHandler

    from ...translation import Catalogue
    from ..hub.jupyterhub import HubSpawner
    from ..options.base import Value
    from ..options.field_kinds import Field
    from ..options.start_estimate import EstimatedSpawner, StartEstimate
    from .environment import JobOwner


class ChoiceTraits(UndeclaredOptionTraits):
    """Traits and methods for options, which come from a form, an address or the REST API."""

    resource_form = Bool(
        False,
        help="Let users choose queue, cores, memory, GPUs, time, account and reservation in a "
        "form. It has no effect if options_form is set.",
    ).tag(config=True)
    resource_fields = List(
        Unicode(),
        help="Which fields the resource form has, by name; by default all that the template of "
        "the job script uses, but not mail_user, an address for e-mail.",
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
    language = Unicode(
        "",
        help="Language of the forms and pages, such as 'de'; by default that which each browser "
        "asks for. The pages take it from c.BatchSpawnerBase only.",
    ).tag(config=True)

    presets: dict[str, dict[str, object]] = Dict(
        help="Named choices that the form offers to all users: "
        '{"Small": {"queue": "debug", "nprocs": 2}}. Those that a user may not make are left out.'
    ).tag(config=True)  # type: ignore[assignment]
    estimate_starts = Bool(
        True,
        help="Say in the resource form when the server would start with what is chosen. The "
        "scheduler is asked where it can say that: Slurm by `sbatch --test-only`.",
    ).tag(config=True)
    only_queues: frozenset[str] = frozenset()
    """The queues that the profile of this server leaves to choose from; empty for all."""

    _chosen: Mapping[str, Value] | None = None
    _refused: Mapping[str, object] | None = None
    _reader = Instance(FormReader, ())

    # What the classes beside this one have.
    user: JobOwner
    user_options: dict[str, object]
    options_form: Form
    exec_prefix: str
    batch_script: str
    scheduler_name: str
    if TYPE_CHECKING:
        log: Logger
        options_from_form: Callable[..., Any]

        def get_req_subvars(self) -> dict[str, Any]: ...

        async def get_options_form(self) -> object: ...

    @validate("option_fields")
    def _check_option_fields(self, proposal: Proposal) -> list[Field]:
        return list(Schema(tuple(map(field_of, proposal.value))).fields)

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
        only = self.only_queues
        if not only and names is not None and "queue" not in names:
            # Nobody chooses the queue: the configured one counts.
            only = frozenset(filter(None, [configured["partition"] or configured["queue"]]))
        made = ResourceForm(configured, self.queue_limits, info, only).fields()
        if not self.resource_fields:
            # Not every scheduler has been set up to send e-mail.
            made = [field for field in made if field.name != "mail_user"]
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
            self._opened = frozenset()
            self._opened = await self._opened_by_form(given)
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

    def run_options_from_form(self, form: Mapping[str, Sequence[str]]) -> Any:
        """Return the options in a form that a user has sent, marked as such; JupyterHub calls it.

        It does not for an address, nor for the REST API.
        """
        # Not one of the functions that JupyterHub has for all sites.
        by_site = getattr(self.options_from_form, "__module__", "") != Spawner.__module__
        return marked(super().run_options_from_form(form), by_site=by_site)  # type: ignore[misc]

    async def read_form(self, form: Mapping[str, Sequence[str]]) -> dict[str, Value]:
        """Return the checked options in a form or an address; JupyterHub calls it with both."""
        self._reader.note_form(language_of(form))
        with translated_by(self.catalogue()):
            return await self._read_translated(form)

    async def _read_translated(self, form: Mapping[str, Sequence[str]]) -> dict[str, Value]:
        schema = await self.option_schema() or Schema()
        preset = named_preset(form)
        given = schema.from_form(form)
        if preset:
            given = preset_options(preset, self.presets, self.user_options)
        self._refused = given
        try:
            options = schema.check(given)
        except OptionsError as error:
            raise OptionsRefused(error) from error
        self._refused = None
        return options

    async def own_form(self) -> str:
        """Return the form, filled with what was refused just now, or chosen the last time."""
        with translated_by(self.catalogue()):
            return await self._translated_form()

    async def _translated_form(self) -> str:
        schema = await self.option_schema() or Schema()
        last = self._refused if self._refused is not None else self.user_options
        self._refused = None
        about = queue_table(await self.queue_info(), self.offered_queues(schema))
        url = estimate_url_of(cast("HubSpawner", self)) if self.estimate_starts else ""
        presets = shown_presets(self.presets, self.user_options or {}, schema.check)
        return render_options(
            schema,
            schema.restored(last),
            self.template_folders,
            about,
            url,
            presets,
            store_of(cast("HubSpawner", self)),
        )

    def catalogue(self, handler: RequestHandler | None = None) -> Catalogue:
        """Return the texts in the language of a request; by default, of that for the form."""
        handler = handler or getattr(self, "handler", None)
        return self._reader.catalogue(handler, self.language, self.template_folders)

    async def start_estimate(self, form: Mapping[str, Sequence[str]]) -> StartEstimate | None:
        """Return when a server would start with what a form says; None if it cannot be estimated.

        Raises OptionsRefused for what the form would not accept.
        """
        schema = await self.option_schema()
        if schema is None or not self.estimate_starts:
            return None
        try:
            values = schema.check(schema.from_form(form))
        except OptionsError as error:
            raise OptionsRefused(error) from error
        return await self.estimate_start(schema, values)

    async def estimate_start(
        self, schema: Schema, values: Mapping[str, Value]
    ) -> StartEstimate | None:
        """Return when a server would start with checked values of a form's fields."""
        if not self.estimate_starts:
            return None
        # A copy: some variables of the job script settle only when the server starts.
        spawner = cast("EstimatedSpawner", copy(self))
        try:
            return await estimate_start(spawner, schema, values, await self.queue_info())
        except Exception:
            self.log.info("There is no estimate of a start", exc_info=True)
            return None

    def offered_queues(self, schema: Schema) -> frozenset[str] | None:
        """Return the queues that users can choose, None for all of the scheduler."""
        for field in schema.fields:
            if field.name == "queue" and isinstance(field, Choice):
                return frozenset(option.value for option in field.options)
        return self.only_queues or None

    def chosen_variables(self) -> dict[str, object]:
        """Return the user's choice as variables of the job script.

        Raises OptionsRefused if no form declares the options and one of them is not open.
        """
        if self._chosen is None:
            return self._undeclared_variables()
        # A site's partition would rule over the queue that the user chose.
        cleared = {"partition": ""} if "queue" in self._chosen else {}
        return {**cleared, **self._chosen}


async def _own_form(spawner: ChoiceTraits) -> str:
    """Render the form; JupyterHub calls it with the spawner."""
    return await spawner.own_form()


async def _apply(spawner: ChoiceTraits, options: dict[str, object]) -> None:
    """Check the options of a start; JupyterHub >= 5.3 calls it, however they came."""
    await maybe_future(spawner.take_options(options))
