"""Graphs of which module and which package imports which, read from their source."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Graph = dict[str, set[str]]


class Sources:
    """Modules of some packages, by their full names; a package's own module is its `__init__`."""

    def __init__(self, root: Path, *packages: str) -> None:
        self.root = root
        self.files = {
            _module_name(path.relative_to(root)): path
            for package in packages
            for path in sorted((root / package).rglob("*.py"))
        }
        self.trees = {name: ast.parse(path.read_text("utf-8")) for name, path in self.files.items()}

    def is_package(self, module: str) -> bool:
        return self.files[module].name == "__init__.py"

    def imports(self, module: str) -> set[tuple[str, str]]:
        """Return what a module imports, as (module, name), also in functions and for types only.

        The name is empty where a whole module is imported.
        """
        found = set()
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.Import):
                found |= {(alias.name, "") for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = self._base(module, node)
                found |= {(base, alias.name) for alias in node.names}
        return found

    def _base(self, module: str, node: ast.ImportFrom) -> str:
        """Return the full name of the module from which something is imported."""
        if not node.level:
            return node.module or ""
        parts = module.split(".")
        above = parts[: len(parts) - node.level + self.is_package(module)]
        return ".".join([*above, *filter(None, [node.module])])

    def modules_imported_by(self, module: str) -> set[str]:
        """Return the modules in which the imported names are defined, seen through facades."""
        found = {self._defining(base, name) for base, name in self.imports(module)}
        return {one for one in found if one in self.files} - {module}

    def _defining(self, base: str, name: str) -> str:
        full = f"{base}.{name}" if name else base
        if full in self.files or base not in self.files or not self.is_package(base):
            return full if full in self.files else base
        for other, imported in self.imports(base):
            if imported == name and other != base:
                return self._defining(other, name)
        return base

    def module_graph(self) -> Graph:
        return {module: self.modules_imported_by(module) for module in self.files}

    def package_graph(self) -> Graph:
        """Return the graph of sub-packages, with modules that lie directly in a package."""
        graph: Graph = {}
        for module, others in self.module_graph().items():
            here = self.package_of(module)
            found = {self.package_of(other) for other in others}
            graph.setdefault(here, set()).update(found - {here})
        return graph

    def package_of(self, module: str) -> str:
        """Return the sub-package of a module, or the module itself if it is directly in a package.

        The `__init__` of a package is a node of its own.
        """
        parts = module.split(".")
        if self.is_package(module):
            return f"{module}.__init__"
        return ".".join(parts[:-1]) if len(parts) > 3 else module


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def cycles(graph: Graph) -> list[list[str]]:
    """Return the groups of nodes that import each other, directly or through others."""
    reached = {node: _reached_from(node, graph) for node in graph}
    groups = {
        tuple(sorted(other for other in reached[node] if node in reached[other]))
        for node in graph
        if node in reached[node]
    }
    return sorted(map(list, groups))


def _reached_from(node: str, graph: Graph) -> set[str]:
    """Return the nodes that a node imports, directly or through others."""
    found: set[str] = set()
    waiting = list(graph[node])
    while waiting:
        other = waiting.pop()
        if other not in found:
            found.add(other)
            waiting += graph.get(other, ())
    return found
