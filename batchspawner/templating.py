"""Templates of job scripts and pages: a site's own, the packaged ones, and those of schedulers."""

from __future__ import annotations

import os
import re
import shlex
import sys
import traceback
from base64 import b64encode
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from .errors import OptionsError, TemplateError
from .schedulers import scheduler_classes, template_name
from .schedulers.base import Scheduler
from .translation import gettext, language, ngettext
from .units import native_duration, native_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.abc import Traversable

MULTI_LINE = frozenset({"cmd", "prologue", "epilogue", "options"})
"""Variables of a job script whose values may have several lines: administrators set them."""

_SYNTAX = re.compile(r"""[;&|<>`$(){}*?!#~"'\\]|(?:^|\s)-""")
"""Syntax of a shell, or the beginning of another option in a line of directives."""

MAIL_ADDRESS = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,200}[A-Za-z0-9])?"
"""One address for e-mail, which is no option, no list, and nothing that a shell would read."""

PATH_VARIABLE = "BATCHSPAWNER_TEMPLATE_PATH"
SITE_FOLDER = "/etc/batchspawner/templates"
PACKAGED = "packaged"
"""Prefix of a template's name that means the packaged one."""


def format_template(template: str | jinja2.Template, *args: Any, **kwargs: Any) -> str:
    """Format a template of an administrator's configuration.

    Text that holds ``{{`` or ``{%`` is Jinja, where an unknown name is empty; any other is for
    `str.format`, where an unknown name raises KeyError and a literal brace is written twice.
    """
    if isinstance(template, str) and not is_jinja(template):
        return template.format(*args, **kwargs)
    jinja: Any = jinja2.Template(template) if isinstance(template, str) else template
    return str(jinja.render(*args, **kwargs))


def is_jinja(template: str) -> bool:
    """Return whether `format_template` takes a text for Jinja."""
    return "{{" in template or "{%" in template


def names_in(template: str | jinja2.Template) -> frozenset[str] | None:
    """Return the variables that a template for `format_template` names, None if that is unknown."""
    if not isinstance(template, str):
        return None
    if is_jinja(template):
        return frozenset(meta.find_undeclared_variables(jinja2.Environment().parse(template)))  # noqa: S701
    # "memory.real" and "nodes[0]" are parts of a variable, "{n:>{width}}" contains another one.
    found: set[str] = set()
    for _, name, specification, _ in Formatter().parse(template):
        if name is not None:
            found |= {re.split(r"[.\[]", name)[0], *(names_in(specification or "") or ())}
    return frozenset(found - {""})


def search_path(configured: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the folders of a site's templates, best first; the packaged ones come after them."""
    named = os.environ.get(PATH_VARIABLE, "").split(os.pathsep)
    return (*map(str, configured), *filter(None, named), SITE_FOLDER)


def render_script(
    name: str,
    variables: Mapping[str, object],
    folders: Sequence[str] | None = None,
    front_end: str = "spawner",
) -> str:
    """Render a job-script template such as ``slurm.j2``.

    A site's ``spawner/slurm.j2`` is used for the front end of this name only. Raises TemplateError
    for a template or variable that does not exist, OptionsError for a value with a line break.
    """
    for variable, value in variables.items():
        if variable not in MULTI_LINE:
            check_one_line(variable, value)
    environment = _environment(tuple(search_path() if folders is None else folders), page=False)
    return _render(
        environment, [f"{front_end}/{name}", name], {**variables, "front_end": front_end}
    )


def render_page(name: str, variables: Mapping[str, object], folders: Sequence[str] = ()) -> str:
    """Render a template of a page, where every value is escaped. Raises TemplateError."""
    return _render(_environment(tuple(folders), page=True), [name], variables)


def find_template(
    name: str, folders: Sequence[str] | None = None, front_end: str = ""
) -> tuple[str, str]:
    """Return the file that is used for a template's name, and its text. Raises TemplateError."""
    environment = _environment(tuple(search_path() if folders is None else folders), page=False)
    for candidate in filter(None, [front_end and f"{front_end}/{name}", name]):
        try:
            text, file, _ = _loader(environment).get_source(environment, candidate)
        except jinja2.TemplateNotFound:
            continue
        return str(file), text
    raise TemplateError(f"there is no template {name!r}")


def template_names(folders: Sequence[str] | None = None) -> list[str]:
    """Return the names of all templates, a site's own and the packaged ones."""
    environment = _environment(tuple(search_path() if folders is None else folders), page=False)
    return [name for name in environment.list_templates() if not name.startswith(f"{PACKAGED}/")]


def variables_of(
    name: str, folders: Sequence[str] | None = None, front_end: str = "", *, bare: bool = False
) -> frozenset[str]:
    """Return the variables that a template and those that it extends use.

    With `bare`, only those that are used somewhere without the filter `quote`.
    """
    places = tuple(search_path() if folders is None else folders)
    text = find_template(name, places, front_end)[1]
    found, parents = _names_of(text, places, bare=bare)
    for parent in parents - {name}:
        found |= variables_of(parent, places, bare=bare)
    return found


# It is asked at each start, and parsing takes milliseconds.
@lru_cache(maxsize=64)
def _names_of(
    text: str, folders: tuple[str, ...], *, bare: bool
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the variables of a template, and the names of the templates that it refers to."""
    tree = _environment(folders, page=False).parse(text)
    found = frozenset(meta.find_undeclared_variables(tree))
    if bare:
        found &= _unquoted(tree)
    return found, frozenset(filter(None, meta.find_referenced_templates(tree)))


@cache
def packaged_variables(scheduler: str) -> frozenset[str]:
    """Return the variables of the packaged job script of a scheduler; none if there is none."""
    try:
        return variables_of(f"{PACKAGED}/{template_name(scheduler)}", ())
    except TemplateError:
        return frozenset()


def _unquoted(tree: nodes.Template) -> frozenset[str]:
    quoted = {id(one.node) for one in tree.find_all(nodes.Filter) if one.name == "quote"}
    return frozenset(one.name for one in tree.find_all(nodes.Name) if id(one) not in quoted)


def check_one_line(name: str, value: object) -> None:
    """Raise OptionsError for text with a line break or another control character."""
    if isinstance(value, str) and not value.isprintable():
        raise OptionsError(name, value, "it must be one line without control characters")


def check_plain(name: str, value: object) -> None:
    """Raise OptionsError for text with shell syntax or further options."""
    check_one_line(name, value)
    if isinstance(value, str) and _SYNTAX.search(value):
        raise OptionsError(
            name, value, "it must have no shell syntax and no word that begins with a dash"
        )


def _render(
    environment: jinja2.Environment, names: Sequence[str], variables: Mapping[str, object]
) -> str:
    try:
        return environment.select_template(list(names)).render(variables)
    except jinja2.TemplatesNotFound as error:
        raise TemplateError(f"there is no template {names[-1]!r}") from error
    except jinja2.TemplateNotFound as error:
        raise TemplateError(f"there is no template {error.name!r}") from error
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"{error.filename}:{error.lineno}: {error.message}") from error
    except jinja2.TemplateError as error:
        raise TemplateError(f"{_place(error)}: {error}") from error
    except (ArithmeticError, TypeError, ValueError, AttributeError, LookupError) as error:
        what = f"{type(error).__name__}: {error}"
        raise TemplateError(f"{_place(error)}: {what}") from error


def _place(error: Exception) -> str:
    """Return the file and the line of a template at which rendering failed."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.filename.endswith((".j2", ".html"))]
    return f"{inside[-1].filename}:{inside[-1].lineno}" if inside else "a template"


class _PackagedLoader(jinja2.BaseLoader):
    """Loader of the templates of this library, and of those that come with a scheduler's class."""

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        del environment
        file = files("batchspawner.templates").joinpath(template)
        if ".." in template:
            raise jinja2.TemplateNotFound(template)
        found = file if file.is_file() else _scheduler_template(template)
        if found is None:
            raise jinja2.TemplateNotFound(template)
        return found.read_text(encoding="utf-8"), str(found), lambda: True

    def list_templates(self) -> list[str]:
        root = files("batchspawner.templates")
        pages = [f"forms/{file.name}" for file in root.joinpath("forms").iterdir()]
        names = [*(file.name for file in root.iterdir()), *pages]
        scripts = [template_name(one.name) for one in scheduler_classes()]
        return sorted(
            [name for name in names if name.endswith((".j2", ".html"))]
            + [name for name in scripts if _scheduler_template(name) is not None]
        )


def _scheduler_template(template: str) -> Traversable | None:
    """Return the template of a scheduler's class, else the one of its base class.

    It lies beside the class; the templates of this library's own schedulers are packaged together.
    """
    known = (one for one in scheduler_classes() if template_name(one.name) == template)
    for one in next(known, Scheduler).__mro__:
        if issubclass(one, Scheduler) and one is not Scheduler:
            for folder in (_folder_of(one), files("batchspawner.templates")):
                file = folder.joinpath(template_name(one.name))
                if file.is_file():
                    return file
    return None


def _folder_of(cls: type) -> Traversable:
    """Return the folder of the package in which a class is defined."""
    module = sys.modules[cls.__module__]
    if module.__spec__ is not None and module.__spec__.parent:
        return files(module.__spec__.parent)
    # A module that is not in a package.
    return Path(module.__file__ or ".").parent


def _loader(environment: jinja2.Environment) -> jinja2.BaseLoader:
    assert environment.loader is not None  # noqa: S101  (every environment of ours has one)
    return environment.loader


@lru_cache(maxsize=32)
def _environment(folders: tuple[str, ...], *, page: bool) -> jinja2.Environment:
    packaged = _PackagedLoader()
    sites = [jinja2.FileSystemLoader(Path(folder)) for folder in folders]
    loaders = [*sites, jinja2.PrefixLoader({PACKAGED: packaged}), packaged]
    environment = SandboxedEnvironment(
        loader=jinja2.ChoiceLoader(loaders),
        undefined=jinja2.StrictUndefined,
        # In a page, two attributes may be separated by a line break only.
        trim_blocks=not page,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=page,
    )
    environment.filters.update(_FILTERS)
    if page:
        environment.globals.update({"_": gettext, "ngettext": ngettext, "language": language})
    return environment


def _count(value: object, name: str) -> int:
    """Return a number of nodes, tasks or cores. Raises OptionsError."""
    if not re.fullmatch("0*[1-9][0-9]{0,8}", str(value).strip(), re.ASCII):
        raise OptionsError(name, str(value)[:60], "give a whole number from 1")
    return int(str(value))


def _mail_address(value: object) -> str:
    """Return an address for e-mail. Raises OptionsError for anything else."""
    text = str(value)
    if not re.fullmatch(MAIL_ADDRESS, text):
        raise OptionsError("req_mail_user", text[:60], "write an address such as ada@example.org")
    return text


# Filters for job scripts, as in `{{ memory | memory_in("M") }}`.
_FILTERS = {
    "quote": lambda value: shlex.quote(str(value)),
    "base64": lambda value: b64encode(str(value).encode()).decode(),
    "memory_in": lambda value, unit, expressions=False: native_memory(
        "req_memory", str(value), unit, expressions=expressions
    ),
    "count": _count,
    "mail_address": _mail_address,
    "runtime_in": lambda value, form: native_duration("req_runtime", str(value), form),
}
