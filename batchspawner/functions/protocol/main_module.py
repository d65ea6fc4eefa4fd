"""The program's main module, as a worker finds it again and as pickles refer to it.

https://docs.python.org/3/library/multiprocessing.html#the-spawn-and-forkserver-start-methods
"""

from __future__ import annotations

import ast
import functools
import io
import multiprocessing.util
import sys
import types
from pathlib import Path

_NAMES = ("__main__", "__mp_main__")


def is_main(module: str) -> bool:
    """Return whether a module's name is that of the main module, here or in a worker."""
    return module in _NAMES


def main_file() -> str:
    """Return the file from which a worker can load the main module; empty if it cannot.

    The latter is a notebook, an interpreter, a zip archive, a folder or the ``__main__.py`` of a
    package, whose code is mostly not under ``if __name__ == "__main__":``.
    """
    main = sys.modules["__main__"]
    file = str(getattr(main, "__file__", None) or "")
    if not file.endswith(".py"):
        return ""
    if Path(file).name == "__main__.py" and getattr(main, "__spec__", None) is not None:
        return ""
    return str(Path(file).resolve())


def interpreter(python: str) -> list[str]:
    """Return the command of an interpreter with the options of this one, such as ``-O`` or ``-X``.

    https://docs.python.org/3/using/cmdline.html
    """
    flags: list[str] = multiprocessing.util._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [python, *flags]


def importable_name(file: str) -> str:
    """Return the name of the main module if ``python -m`` has loaded it from a file."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None or not spec.origin or spec.name in _NAMES:
        return ""
    return str(spec.name) if str(Path(spec.origin).resolve()) == file else ""


def named(module: str, name: str) -> object:
    """Return what a loaded module has under a qualified name, None if it has nothing."""
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def dumps(value: object, file: str) -> bytes:
    """Pickle a value; what the main module defines, which the other side has loaded, by name."""
    import cloudpickle

    absent = _names_of_main_part(file)

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Pickler that takes the main module for one that can be imported."""

        def reducer_override(self, obj: object) -> object:
            name = _name_in_main(obj)
            if name and name.partition(".")[0] not in absent:
                return name
            return super().reducer_override(obj)

    with io.BytesIO() as out:
        Pickler(out, protocol=4).dump(value)
        return out.getvalue()


def _name_in_main(obj: object) -> str:
    """Return the qualified name of a class or function of the main module, else nothing."""
    kinds = (type, types.FunctionType)
    if not isinstance(obj, kinds) and not hasattr(type(obj), "entry_point"):
        return ""
    module, name = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or not is_main(module):
        return ""
    return name if named(module, name) is obj else ""


@functools.lru_cache(maxsize=8)
def _names_of_main_part(file: str) -> frozenset[str]:
    """Return the names of what a script defines under ``if __name__ == "__main__":`` only.

    A worker does not run that part.
    """
    try:
        lines = ast.parse(Path(file).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    inside: set[str] = set()
    outside: set[str] = set()
    for line in lines:
        is_guard = isinstance(line, ast.If) and "__name__" in ast.dump(line.test)
        (inside if is_guard else outside).update(
            one.name
            for one in ast.walk(line)
            if isinstance(one, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        )
    return frozenset(inside - outside)
