"""Find and render job-script templates, and the old template strings too."""

from __future__ import annotations

import os
import shlex
import traceback
from base64 import b64encode
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from .errors import OptionsError, TemplateError
from .units import native_duration, native_memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MULTI_LINE = frozenset({"cmd", "prologue", "epilogue", "options"})
"""Variables of a job script whose value may have several lines; the administrator sets them."""

PATH_VARIABLE = "BATCHSPAWNER_TEMPLATE_PATH"
SITE_FOLDER = "/etc/batchspawner/templates"


def format_template(template: str | jinja2.Template, *args: Any, **kwargs: Any) -> str:
    """Format a template of an administrator's configuration.

    Text that holds ``{{`` or ``{%`` is Jinja, where an unknown name is empty; any other is for
    `str.format`, where an unknown name raises KeyError and a literal brace is written twice.
    """
    if isinstance(template, str) and not ("{{" in template or "{%" in template):
        return template.format(*args, **kwargs)
    jinja: Any = jinja2.Template(template) if isinstance(template, str) else template
    return str(jinja.render(*args, **kwargs))


def search_path(paths: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the folders of a site's own templates, the first one that has a file wins.

    They are `paths`, those in $BATCHSPAWNER_TEMPLATE_PATH, and /etc/batchspawner/templates.
    """
    named = os.environ.get(PATH_VARIABLE, "").split(os.pathsep)
    return (*paths, *(path for path in named if path), SITE_FOLDER)


def render_script(name: str, variables: Mapping[str, object], paths: Iterable[str] = ()) -> str:
    """Render a job-script template such as ``slurm.j2``, a site's own or the packaged one.

    A site's template may extend ours, `{% extends "packaged/slurm.j2" %}`. Raises TemplateError,
    which names file and line, for a template or variable that does not exist; OptionsError for a
    value that would break out of its line.
    """
    for variable, value in variables.items():
        if variable not in MULTI_LINE:
            check_one_line(variable, value)
    try:
        return _environment(search_path(paths)).get_template(name).render(variables)
    except jinja2.TemplateNotFound as error:
        raise TemplateError(f"there is no job-script template {error.name!r}") from error
    except jinja2.TemplateError as error:
        raise TemplateError(f"{_place(error, name)}: {error}") from error


def find_template(name: str, paths: Iterable[str] = ()) -> tuple[str, str]:
    """Return where a template is and what it holds. Raises TemplateError where there is none."""
    environment = _environment(search_path(paths))
    try:
        assert environment.loader is not None  # noqa: S101  (set below)
        source, filename, _ = environment.loader.get_source(environment, name)
    except jinja2.TemplateNotFound as error:
        raise TemplateError(f"there is no job-script template {error.name!r}") from error
    return filename or name, source


def template_names(paths: Iterable[str] = ()) -> list[str]:
    """Return the names of all job-script templates, a site's and ours."""
    folders = [Path(path) for path in search_path(paths)]
    own = {file.name for folder in folders if folder.is_dir() for file in folder.glob("*.j2")}
    packaged = {file.name for file in _packaged().iterdir() if file.name.endswith(".j2")}
    return sorted(own | packaged)


def check_one_line(name: str, value: object) -> None:
    """Raise OptionsError for text with a line break or another control character."""
    if isinstance(value, str) and not value.isprintable():
        raise OptionsError(name, value, "it must be one line without control characters")


def _place(error: jinja2.TemplateError, name: str) -> str:
    """Return file and line of the template in which an error arose."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"{error.filename or error.name or name}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    places = [frame for frame in frames if frame.filename.endswith(".j2")]
    return f"{places[-1].filename}, line {places[-1].lineno}" if places else name


def _packaged() -> Any:
    return files("batchspawner.templates")


def _load_packaged(name: str) -> tuple[str, str, None] | None:
    file = _packaged().joinpath(name)
    return (file.read_text(encoding="utf-8"), str(file), None) if file.is_file() else None


@lru_cache(maxsize=16)
def _environment(folders: tuple[str, ...]) -> jinja2.Environment:
    packaged: Any = jinja2.FunctionLoader(_load_packaged)
    environment = SandboxedEnvironment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PrefixLoader({"packaged": packaged}),
                jinja2.FileSystemLoader(folders),
                packaged,
            ]
        ),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # a shell script, not a page
    )
    environment.filters.update(_FILTERS)
    return environment


# What a job script's template can say: `{{ memory | memory_in("M") }}`.
_FILTERS = {
    "quote": lambda value: shlex.quote(str(value)),
    "base64": lambda value: b64encode(str(value).encode()).decode(),
    "memory_in": lambda value, unit, expressions=False: native_memory(
        "req_memory", str(value), unit, expressions=expressions
    ),
    "runtime_in": lambda value, form: native_duration("req_runtime", str(value), form),
}
