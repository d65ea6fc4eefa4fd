"""Mistakes in templates that are texts of the configuration, such as `batch_script`."""

from __future__ import annotations

import re
import traceback
from string import Formatter
from typing import Any

import jinja2

from .errors import TemplateError
from .templating import format_template, is_jinja, names_in

MISTAKES = (KeyError, IndexError, AttributeError, ValueError, TypeError, jinja2.TemplateError)
"""What a template that is wrong raises when it is filled in."""

_JINJA_ADVICE = (
    "it is read as a Jinja template, because it has {{ or {%: a variable is {{ cmd }} there, and "
    "braces of the shell, such as ${#a}, go between {% raw %} and {% endraw %}"
)
_FORMAT_ADVICE = (
    "a script with braces of the shell is written as a Jinja template: {{ cmd }} in place of {cmd}"
)

_JINJA_FILE = "<template>"
"""What Jinja calls a template that is no file."""

_PATH = re.compile(r"\s*[^\s{}]*/[^\s{}]*\s*")
_BRACED_CMD = re.compile(r"(?<!\{)\{cmd\}(?!\})")


def fill_template(setting: str, template: str | jinja2.Template, variables: Any) -> str:
    """Format a template of the configuration, as `format_template` does.

    `setting` names it in the error. Raises TemplateError, which says where the mistake is.
    """
    try:
        return format_template(template, **variables)
    except MISTAKES as error:
        raise mistake_in(setting, template, error) from error


def fill_script_template(setting: str, template: str | jinja2.Template, variables: Any) -> str:
    """Format the template of a job script. Raises TemplateError, also for one without a script."""
    if not isinstance(template, str):
        return fill_template(setting, template, variables)
    if _PATH.fullmatch(template):
        path = template.strip()
        raise TemplateError(
            f"{setting} is a path, {path}; it has to be the text of a script: open({path!r}).read()"
        )
    script = fill_template(setting, template, variables)
    braced = _BRACED_CMD.search(template)
    if braced and is_jinja(template) and "cmd" not in (names_in(template) or ()):
        where = f"{setting}, line {_line_of(template, braced.start())}"
        raise TemplateError(f"{where}: the variable cmd has single braces; {_JINJA_ADVICE}")
    return script


def mistake_in(setting: str, template: str | jinja2.Template, error: Exception) -> TemplateError:
    """Return the error about a template that cannot be filled in: where it is, and what to do."""
    text = template if isinstance(template, str) else ""
    if isinstance(error, jinja2.TemplateSyntaxError):
        what = f"{error.message}; {_JINJA_ADVICE}"
        return TemplateError(f"{setting}, line {error.lineno}: {what}")
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == _JINJA_FILE]
    if lines or isinstance(error, jinja2.TemplateError):
        return TemplateError(f"{_with_line(setting, *lines[-1:])}: {error}")
    if isinstance(error, (KeyError, IndexError)):
        name = str(error.args[0]) if isinstance(error, KeyError) else ""
        at = text.find(f"{{{name}")
        where = _with_line(setting, *([_line_of(text, at)] if at >= 0 else []))
        what = f"there is no variable {name!r}" if name else "a variable has no name"
        return TemplateError(f"{where}: {what}; {_FORMAT_ADVICE}")
    wrong = [number for number, line in enumerate(text.splitlines(), 1) if not _is_format(line)]
    return TemplateError(f"{_with_line(setting, *wrong[:1])}: {error}; {_FORMAT_ADVICE}")


def _with_line(setting: str, *lines: int | None) -> str:
    return "".join([setting, *(f", line {line}" for line in lines)])


def _line_of(text: str, position: int) -> int:
    """Return the number of the line at a position in a text."""
    return text.count("\n", 0, position) + 1


def _is_format(line: str) -> bool:
    """Return whether `str.format` can read a line."""
    try:
        list(Formatter().parse(line))
    except ValueError:
        return False
    return True
