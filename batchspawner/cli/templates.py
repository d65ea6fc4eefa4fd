"""Show which job-script templates there are, where they come from, and what becomes of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..errors import BatchError
from ..templating import find_template, search_path, template_names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_to(commands: Any) -> None:
    """Add `templates` with its verbs to the command line."""
    help_ = "list, show and render the job scripts' templates"
    verbs = commands.add_parser("templates", help=help_, description=help_).add_subparsers(
        metavar="VERB", required=True
    )
    _verb(verbs, "list", list_all, "list all templates and the file that wins for each")
    show = _verb(verbs, "show", show_one, "print a template")
    show.add_argument("name", help="such as slurm, or packaged/slurm for ours")
    render = _verb(verbs, "render", render_one, "print the job script of a user")
    render.add_argument("--user", required=True, help="for whom the job would be")
    render.add_argument(
        "-o", "--option", action="append", default=[], metavar="NAME=VALUE",
        help="what the user chose; can be repeated",
    )  # fmt: skip


def _verb(
    verbs: Any, name: str, run: Callable[[argparse.Namespace], int], help_: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help_, description=help_)
    parser.add_argument(
        "-f", "--config", default="", metavar="FILE", help="jupyterhub_config.py of the Hub"
    )
    parser.set_defaults(run=lambda arguments: _told(run, arguments))
    return parser


def _told(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    try:
        return run(arguments)
    except (BatchError, ValueError, OSError, KeyError) as error:
        sys.stderr.write(f"batchspawner templates: {error}\n")
        return 1


def list_all(arguments: argparse.Namespace) -> int:
    """Print each template's name and where it is."""
    folders = _folders(arguments.config)
    for name in template_names(folders):
        sys.stdout.write(f"{name:16} {find_template(name, folders)[0]}\n")
    return 0


def show_one(arguments: argparse.Namespace) -> int:
    """Print the text of a template."""
    name = arguments.name if "." in arguments.name else f"{arguments.name}.j2"
    where, text = find_template(name, _folders(arguments.config))
    sys.stderr.write(f"{where}:\n")
    sys.stdout.write(text)
    return 0


def render_one(arguments: argparse.Namespace) -> int:
    """Print the script as it would be submitted."""
    from ..spawners.preview import script_of, spawner_for

    options = {}
    for text in arguments.option:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--option {text!r} is not like queue=day")
        options[name] = value
    sys.stdout.write(script_of(spawner_for(arguments.config, arguments.user), options))
    return 0


def _folders(config_file: str) -> tuple[str, ...]:
    """Return where the Hub with a configuration looks for a site's templates."""
    if not config_file:
        return search_path()
    from jupyterhub.app import JupyterHub

    from ..spawners import BatchSpawnerBase

    app = JupyterHub()
    app.load_config_file(config_file)
    cls = app.spawner_class if issubclass(app.spawner_class, BatchSpawnerBase) else BatchSpawnerBase
    return cls(config=app.config, user=None, orm_spawner=None).template_folders
