"""Find and render job-script templates, and the old template strings too."""

from __future__ import annotations

import shlex
from base64 import b64encode
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from .errors import OptionsError, TemplateError
from .units import native_duration, native_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

MULTI_LINE = frozenset({"cmd", "prologue", "epilogue", "options"})
"""Variables of a job script whose value may have several lines; the administrator sets them."""


def format_template(template: str | jinja2.Template, *args: Any, **kwargs: Any) -> str:
    """Format a template of an administrator's configuration.

    Text that holds ``{{`` or ``{%`` is Jinja, where an unknown name is empty; any other is for
    `str.format`, where an unknown name raises KeyError and a literal brace is written twice.
    """
    if isinstance(template, str) and not ("{{" in template or "{%" in template):
        return template.format(*args, **kwargs)
    jinja: Any = jinja2.Template(template) if isinstance(template, str) else template
    return str(jinja.render(*args, **kwargs))


def render_script(name: str, variables: Mapping[str, object]) -> str:
    """Render a packaged job-script template such as ``slurm.j2``.

    Raises TemplateError for a template or variable that does not exist, OptionsError for a value
    that would break out of its line.
    """
    for variable, value in variables.items():
        if variable not in MULTI_LINE:
            check_one_line(variable, value)
    try:
        return _environment().get_template(name).render(variables)
    except jinja2.TemplateNotFound as error:
        raise TemplateError(f"there is no job-script template {error.name!r}") from error
    except jinja2.TemplateError as error:
        raise TemplateError(f"the job-script template {name} fails: {error}") from error


def check_one_line(name: str, value: object) -> None:
    """Raise OptionsError for text with a line break or another control character."""
    if isinstance(value, str) and not value.isprintable():
        raise OptionsError(name, value, "it must be one line without control characters")


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    def load(name: str) -> str | None:
        file = files("batchspawner.templates").joinpath(name)
        return file.read_text(encoding="utf-8") if file.is_file() else None

    environment = SandboxedEnvironment(
        loader=jinja2.FunctionLoader(load),
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
