"""The templates of job scripts and forms, and their output: ``batchspawner templates``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from ..errors import BatchError
from ..templating import PACKAGED, PATH_VARIABLE, SITE_FOLDER, find_template, template_names


class FolderArguments(argparse.Namespace):
    """The command line of `batchspawner templates list`, and of `show` with a name."""

    path: list[str]
    name: str


class RenderArguments(argparse.Namespace):
    """The command line of `batchspawner templates render`."""

    config: str
    user: str
    groups: list[str]
    options: list[str]
    json: dict[str, object]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `templates` and its verbs to the command line."""
    top = commands.add_parser(
        "templates",
        help="show which templates are used, and render them",
        description="Templates are looked for in c.BatchSpawnerBase.template_paths, then in "
        f"${PATH_VARIABLE}, in {SITE_FOLDER}, and among the packaged ones.",
    )
    verbs = top.add_subparsers(metavar="VERB", required=True)

    one = verbs.add_parser("list", help="print each template and the file that is used for it")
    _add_folders(one)
    one.set_defaults(run=_list)

    one = verbs.add_parser("show", help="print the text of a template")
    one.add_argument("name", help=f"such as slurm.j2, or {PACKAGED}/slurm.j2 for the packaged one")
    _add_folders(one)
    one.set_defaults(run=_show)

    _add_render(verbs)


def _add_render(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = verbs.add_parser(
        "render", help="print the job script that would be submitted for a user's server"
    )
    one.add_argument(
        "--config",
        "-f",
        default="jupyterhub_config.py",
        metavar="FILE",
        help="configuration of the Hub (%(default)s)",
    )
    one.add_argument("--user", required=True, help="name of the user")
    one.add_argument(
        "--group",
        action="append",
        default=[],
        dest="groups",
        metavar="GROUP",
        help="a group of the user in JupyterHub; may be repeated",
    )
    one.add_argument(
        "--option",
        "-o",
        action="append",
        default=[],
        dest="options",
        metavar="NAME=VALUE",
        help="an option; may be repeated",
    )
    one.add_argument(
        "--options",
        type=_object,
        default={},
        metavar="JSON",
        dest="json",
        help="options as the REST API takes them",
    )
    one.set_defaults(run=_render)


def _add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="FOLDER",
        help="a folder of c.BatchSpawnerBase.template_paths; may be repeated",
    )


def _folders(arguments: FolderArguments) -> tuple[str, ...]:
    named = os.environ.get(PATH_VARIABLE, "").split(os.pathsep)
    return (*arguments.path, *filter(None, named), SITE_FOLDER)


def _list(arguments: FolderArguments) -> int:
    folders = _folders(arguments)
    names = template_names(folders)
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {find_template(name, folders)[0]}")
    return 0


def _show(arguments: FolderArguments) -> int:
    try:
        file, text = find_template(arguments.name, _folders(arguments))
    except BatchError as error:
        return _fail(error)
    print(f"# {file}", file=sys.stderr)
    print(text, end="")
    return 0


def _render(arguments: RenderArguments) -> int:
    from ..checking.configuration import missing_file
    from ..spawners.preview import PreviewError, preview

    missing = missing_file(Path(arguments.config))
    if missing:
        return _fail(f"{missing}; name the Hub's with --config")
    options = dict(arguments.json)
    for option in arguments.options:
        name, equals, value = option.partition("=")
        if not equals:
            return _fail(f"--option {option!r} is not of the form NAME=VALUE")
        options[name] = value
    try:
        shown = asyncio.run(preview(arguments.config, arguments.user, arguments.groups, options))
    except (BatchError, PreviewError) as error:
        return _fail(error)
    print(f"# {shown.source}", file=sys.stderr)
    print(shown.script, end="")
    return 0


def _object(text: str) -> dict[str, object]:
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"this is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("give a JSON object, such as '{\"nprocs\": 2}'")
    return value


def _fail(error: object) -> int:
    print(f"batchspawner templates: {error}", file=sys.stderr)
    return 1
