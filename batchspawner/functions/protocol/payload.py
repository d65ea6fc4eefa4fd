"""Calls in the form in which they are sent: by reference and as JSON if possible, else pickled.

A function that the other side can import is sent as its name, one that `slurmify` has made in the
program's main module as that module's file and its name. The other side loads the main module for
it, so that its arguments are of the classes that the function knows. All others (lambdas, closures,
what a notebook defines, unmarked functions of ``__main__``) are pickled by value, with the classes
of their arguments, which needs cloudpickle.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import hashlib
import inspect
import json
import os
import pickle
import sys
import sysconfig
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import BatchError
from . import main_module, worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")


class CannotTravel(BatchError, TypeError):
    """Function, argument or result that cannot be sent to another process.

    The message names the part of it. `distribute` and `submit` raise it before anything is
    submitted, and `result()` for a value that the job cannot send.
    """


@dataclass(frozen=True)
class PackedFunction:
    """Function in the form in which it is sent."""

    key: str
    form: str
    data: bytes
    name: str
    main_file: str = ""
    """File of the main module that the other side loads for it, empty if it loads none."""

    def frame(self) -> bytes:
        return worker.pack({"type": "function", "key": self.key, "form": self.form}, self.data)


@dataclass(frozen=True)
class PackedCall:
    """Call in the form in which it is sent."""

    function: PackedFunction
    form: str
    data: bytes

    def frame(self, number: int) -> bytes:
        key = self.function.key
        return worker.pack({"type": "call", "id": number, "key": key, "form": self.form}, self.data)

    def first_frame(self) -> bytes:
        """Return the frame that makes it the initializer of a worker."""
        header: worker.Header = {"type": "initialize", "key": self.function.key, "form": self.form}
        return worker.pack(header, self.data)

    @property
    def is_pickled(self) -> bool:
        """Whether only the same version of Python can read it."""
        return "pickle" in (self.form, self.function.form)


def make_call(
    function: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    *,
    by_value: bool = False,
) -> PackedCall:
    """Pack a call. Raises CannotTravel, which names the part that cannot be sent.

    With `by_value` the other side does not have our files: only installed functions are sent by
    name.
    """
    if by_value:
        function = _detached(function)
    packed = pack_function(function)
    return PackedCall(packed, *_pack_arguments(function, args, kwargs, packed.main_file))


def _detached(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is sent by value if it is defined in a file of ours."""
    plain = inspect.unwrap(function) if hasattr(function, "entry_point") else function
    module = inspect.getmodule(plain)
    file = getattr(module, "__file__", None)
    if module is None or not file or module.__name__ in ("__main__", "__mp_main__"):
        return plain
    if not file.startswith(tuple(sysconfig.get_paths()[kind] for kind in _INSTALLED)):
        with contextlib.suppress(ImportError):
            import cloudpickle

            cloudpickle.register_pickle_by_value(module)
            return functools.partial(plain)
    return plain


def welcome(spool: str | None = None, folder: str = "", results: str = "pickle") -> bytes:
    """Return the frame with the import path, folder and command line of this process.

    The calls run in `folder` if it is given. With `results` as ``json``, the worker pickles none.
    """
    return worker.pack(
        {
            "type": "welcome",
            "path": [os.path.abspath(path) for path in sys.path],  # noqa: PTH100
            "folder": folder or os.getcwd(),  # noqa: PTH109
            "argv": getattr(sys, "argv", []),
            "spool": spool,
            "results": results,
        }
    )


def pack_function(function: Callable[..., Any]) -> PackedFunction:
    """Return a function in the form in which it is sent. Raises CannotTravel."""
    name = getattr(function, "__qualname__", None) or repr(function)
    reference = _reference(function)
    if reference:
        data = json.dumps(reference, sort_keys=True).encode()
        form = "json"
    else:
        form, data = "pickle", _pickled(function, f"the function {name}")
    key = hashlib.sha256(data).hexdigest()[:16]
    return PackedFunction(key, form, data, name, (reference or {}).get("file", ""))


def _reference(function: Callable[..., Any]) -> dict[str, str] | None:
    """Return how a function can be found again, or None for one that has to be pickled."""
    name = getattr(function, "__qualname__", "")
    module = getattr(function, "__module__", "") or ""
    if not name or "<" in name:
        return None
    file = ""
    if main_module.is_main(module):
        file = getattr(function, "entry_point", "")
        if not file:
            return None
    if main_module.named(module, name) is not function and not hasattr(function, "entry_point"):
        return None
    known = {"main": main_module.importable_name(file)} if file else {}
    return {"module": module, "name": name, "file": file, **known}


def _pack_arguments(
    function: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    main_file: str,
) -> tuple[str, bytes]:
    if worker.is_plain([list(args), kwargs]):
        return "json", json.dumps([args, kwargs]).encode()
    try:
        return "pickle", _dumps((args, kwargs), main_file)
    except Exception:
        for label, value in _labelled(function, args, kwargs):
            _pickled(value, label)
        raise


def _labelled(
    function: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, object]
) -> Iterator[tuple[str, object]]:
    """Yield each argument with a phrase that names it."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    of = getattr(function, "__qualname__", repr(function))
    for number, value in enumerate(args):
        called = f" ({names[number]})" if number < len(names) else ""
        yield f"argument {number + 1}{called} of {of}", value
    for name, value in kwargs.items():
        yield f"argument {name} of {of}", value


def _pickled(value: object, label: str) -> bytes:
    """Pickle by value. Raises CannotTravel with the label, and with the part at fault."""
    try:
        return _dumps(value)
    except Exception as error:
        part = _culprit(value)
        of_it = f": {part} cannot" if part else " cannot"
        raise CannotTravel(
            f"{label}{of_it} be sent to another process ({type(error).__name__}: {error}). "
            "Make it inside the function, or hand over what it is made from."
        ) from error


def _dumps(value: object, main_file: str = "") -> bytes:
    """Pickle a value; what the module of `main_file` defines by name if that is given."""
    try:
        import cloudpickle
    except ImportError:
        try:
            return pickle.dumps(value, protocol=4)
        except Exception as error:
            raise CannotTravel(
                "without cloudpickle only functions and classes of importable modules can be "
                "sent; pip install 'batchspawner[functions]'"
            ) from error
    script = sys.modules.get("__mp_main__")
    if script is not None and script.__name__ == "__mp_main__":
        # In a job, only this process knows the script by that name.
        cloudpickle.register_pickle_by_value(script)
    if main_file:
        return main_module.dumps(value, main_file)
    data: bytes = cloudpickle.dumps(value, protocol=4)
    return data


def _culprit(value: object, where: str = "", depth: int = 4) -> str:
    """Return a phrase for the innermost part of a value that cannot be pickled."""
    for name, part in _parts(value) if depth else ():
        if not _travels(part):
            return _culprit(part, f"{where}{name}", depth - 1) or f"{where}{name}"
    return f"{where}, a {type(value).__qualname__}," if where else ""


def _travels(value: object) -> bool:
    try:
        _dumps(value)
    except Exception:  # noqa: BLE001  (whatever a class does when it is pickled)
        return False
    return True


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, functools.partial):
        yield from ((f" its argument {n + 1}", one) for n, one in enumerate(value.args))
        value = value.func
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", one) for key, one in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{n}]", one) for n, one in enumerate(value))
    elif inspect.isfunction(value):
        used = inspect.getclosurevars(value)
        for name, one in {**used.nonlocals, **used.globals}.items():
            if not hasattr(builtins, name):
                yield f" its variable {name}", one
    elif type(value).__reduce__ is not object.__reduce__:
        return  # it decides itself what of it is sent
    elif hasattr(value, "__dict__") and not inspect.ismodule(value):
        yield from ((f".{name}", one) for name, one in vars(value).items())
