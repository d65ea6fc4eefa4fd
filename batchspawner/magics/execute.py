"""The magics: ``%%execute``, ``%jobs``, ``%joblog``, ``%jobcancel``."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from traitlets import Dict, Unicode, Union

from ..columns import in_columns
from ..errors import BatchError, CommandNotFound, SchedulerUnavailable, SubmitError
from .backends.selection import backend_for, names_of
from .cell import Cell
from .options import CellOptions, parse_line
from .program import CellProgram, PythonCellProgram
from .progress import screen_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from IPython.core.interactiveshell import InteractiveShell


class ModuleDefaults(NamedTuple):
    """Defaults that a profile has set by names of the package; None if it has not."""

    wlm: str | None = None
    args: str | Mapping[str, str] | None = None


@magics_class
class ExecuteMagics(Magics):  # type: ignore[misc, unused-ignore]
    """Magics that run cells elsewhere, above all as batch jobs."""

    default_wlm = Unicode(
        "",
        help="""
        Where cells run if their line has no --wlm: "auto" for the scheduler of this machine, the
        name of a scheduler, "ssh", or "" for a shell on this machine.
        """,
    ).tag(config=True)
    default_args = Union(
        [Unicode(), Dict(value_trait=Unicode(), key_trait=Unicode())],
        default_value="",
        help="""
        Options for cells: one line, for those that run where default_wlm says, or a dict of
        lines by the value of --wlm, as in {"slurm": "--qos=cells", "ssh": "--host=node1"}. Those
        of the scheduler of this machine are for "auto", too.
        """,
    ).tag(config=True)
    default_shell = Unicode(
        "/bin/bash", help="The shell of cells if their line has no --shell."
    ).tag(config=True)

    def __init__(
        self,
        shell: InteractiveShell,
        module_defaults: Callable[[], ModuleDefaults] = ModuleDefaults,
        **kwargs: Any,
    ) -> None:
        super().__init__(shell, **kwargs)
        self.user_ns: dict[str, Any] = shell.user_ns
        self._module_defaults = module_defaults
        self._new_screen = partial(screen_for, shell)
        self.cells: list[Cell] = []
        shell.events.register("pre_run_cell", self._deliver)

    @cell_magic
    def execute(self, line: str, cell: str) -> None:
        """Run a cell elsewhere: as a batch job, over ssh, or in a shell of this machine.

        Write %%execute at the top of a cell. The rest of the cell is a shell script:

            %%execute --wlm=slurm --time=0:10:00 --mem=4G
            srun hostname

        What it prints appears here while it runs. Interrupt the kernel (Ctrl-C) to cancel it,
        once to ask it to end, twice to end it at once. With --python the cell is Python, shows
        pictures and all else as a cell of this kernel does, and can take variables of the
        notebook along and bring some back:

            %%execute --wlm=auto --python --in=numbers --out=total
            total = sum(numbers)

        To go on working meanwhile, and to look at it later:

            %%execute --wlm=auto --bg --amgr=cell
            make all

        and then, in another cell:

            cell.wait_progress(); print(cell.log())

        Switches of %%execute itself:

          --wlm=NAME       where to run: slurm, pbspro, torque, moab, gridengine, lsf, htcondor,
                           oar, local (the embedded queue), auto (the scheduler of this machine),
                           ssh, or '' for a shell on this machine. Also: --workloadmanager=NAME
          --shell=SHELL    the shell, or any other program that reads the cell as a script
          --bg             do not wait: go on with the next cell at once
          --amgr=VAR       put the running cell into this variable: VAR.state, VAR.log(),
                           VAR.wait_progress(), VAR.get_output(), VAR.cancel()
          --check          fail this cell if the job fails, so that "Run All" stops
          --python         the cell is Python, not a script of a shell; it fails if the job does
          --in=A,B         with --python: the cell gets these variables of the notebook
          --out=C,D        with --python: the notebook gets these variables of the cell
          --jobid=VAR      put the job's id into this variable
          --host=HOST      with --wlm=ssh: the machine; other options go to ssh
          --pid=VAR        with --wlm=ssh: put the number of the ssh process into this variable

        Every other option goes to the scheduler's submit command as it is (sbatch, qsub, …);
        what follows a -- does so even if it looks like one of the switches above.

        %jobs lists the cells of this session, %joblog ID shows what one has printed (-f
        follows it), %jobcancel ID cancels it. Defaults: c.ExecuteMagics.default_wlm,
        default_args and default_shell in ipython_config.py.
        """
        try:
            options = self._options(line)
            running = self._new_cell(options, cell)
            with running.interrupts:
                self._submit(options, running)
                if not options.bg:
                    running.follow()
            must_succeed = not options.bg and (options.check or running.program.must_succeed)
            failure = running.failure() if must_succeed else None
            if failure is not None:
                raise failure
        except BatchError as error:
            raise UsageError("\n".join(filter(None, [str(error), advice_for(error)]))) from error

    @line_magic
    def jobs(self, _: str = "") -> None:
        """List the cells of this session that run elsewhere, and those that have ended."""
        rows = [(one.ident, one.backend.title, one.state.name, one.title) for one in self.cells]
        print(in_columns([("ID", "WHERE", "STATE", "CELL"), *rows]))

    @line_magic
    def joblog(self, line: str) -> None:
        """Show what a cell has printed: %joblog ID. With -f, follow it until it ends.

        An interrupt (Ctrl-C) ends the following, not the job.
        """
        words = line.split()
        following = "-f" in words
        cell = self._find([word for word in words if word != "-f"], "%joblog ID [-f]")
        if following:
            cell.follow_outputs()
        else:
            cell.display_outputs()

    @line_magic
    def jobcancel(self, line: str) -> None:
        """Cancel a cell that runs elsewhere: %jobcancel ID. With --now, end it at once."""
        words = line.split()
        cell = self._find([word for word in words if word != "--now"], "%jobcancel ID [--now]")
        try:
            cell.cancel(now="--now" in words)
        except BatchError as error:
            raise UsageError(str(error)) from error

    def _options(self, line: str) -> CellOptions:
        """Parse a line, and add the defaults of the profile."""
        given = self._module_defaults()
        default: str = self.default_wlm if given.wlm is None else given.wlm
        extra: str | Mapping[str, str] = self.default_args if given.args is None else given.args
        options = parse_line(line, default)
        wlm = default if options.wlm is None else options.wlm
        if isinstance(extra, str):
            more = extra if wlm == default else ""
        else:
            more = next((extra[name] for name in names_of(wlm) if name in extra), "")
        return options.completed(wlm, self.default_shell, parse_line(more, wlm))

    def _new_cell(self, options: CellOptions, text: str) -> Cell:
        program = self._program(options)
        new_backend = partial(backend_for, options, program.shell)
        return Cell(new_backend, program, text, self._new_screen())

    def _submit(self, options: CellOptions, cell: Cell) -> None:
        """Submit a cell, and set the variables that its line names."""
        headline, _ = cell.submit()
        self.cells.append(cell)
        cell.screen.headline(headline.rstrip("\n"))
        values = {options.amgr: cell, options.jobid: _number(cell.ident)}
        values[options.pid] = _number(cell.ident)
        self.user_ns.update({name: value for name, value in values.items() if name})

    def _program(self, options: CellOptions) -> CellProgram:
        if options.python:
            variables = self.user_ns
            return PythonCellProgram(options.shell, variables, options.inputs, options.outputs)
        return CellProgram(options.shell or self.default_shell)

    def _deliver(self, _: object) -> None:
        """Store the results of cells in the background; IPython calls it before each cell."""
        for cell in self.cells:
            try:
                cell.deliver()
            except BatchError as error:  # noqa: PERF203  (there are few)
                sys.stderr.write(f"cell {cell.ident}: {error}\n")

    def _find(self, words: list[str], usage: str) -> Cell:
        if len(words) != 1:
            raise UsageError(f"which cell? {usage}; %jobs lists them")
        for cell in reversed(self.cells):
            if cell.ident == words[0]:
                return cell
        raise UsageError(f"there is no cell {words[0]} in this session; %jobs lists them")


def advice_for(error: BatchError) -> str:
    """Return what to do about a cell that was not submitted; empty for other errors."""
    if isinstance(error, (SchedulerUnavailable, CommandNotFound)):
        return "Without a cluster, run the cell in the embedded queue: %%execute --wlm=local"
    if not isinstance(error, SubmitError):
        return ""
    if error.transient:
        return "Run the cell again later: the scheduler accepts no more jobs now."
    return "Correct what it names, in the line of %%execute or in the cell, and run the cell again."


def _number(ident: str) -> int | str:
    """Return an id as a number if it is one: these variables have always been numbers."""
    return int(ident) if ident.isdigit() else ident
