#!/bin/sh
# Repeat the tests of units, jobs and Hubs with the oldest supported Python and JupyterHub that this
# machine has, those of what meets JupyterHub with the one between, and those of units and jobs with
# the newest Python.
# usage: .ci/versions.sh [oldest|hub5|newest]
set -eu

# Prints the first of the given Pythons that works here.
first() {
    for one in "$@"; do
        for place in "$one" "$HOME"/.pyenv/versions/"${one#python}".*/bin/"$one"; do
            if "$place" -c 'import ensurepip, venv' 2>/dev/null; then echo "$place"; return; fi
        done
    done
}

HUB_PARTS="tests/spawners tests/wrapspawner tests/checking tests/test_singleuser.py tests/test_site_templates.py"
HUBS="tests/hub/test_servers.py tests/hub/test_handler.py"

# Makes an environment NAME with a Python and the given packages.
environment() {
    name=$1 python=$2 folder=.venv-$1
    shift 2
    if [ -z "$python" ]; then echo "SKIPPED $name: this machine has no such Python"; exit; fi
    PYTHON=$python .ci/venv.sh "$folder" dev,demo "$@"
    .ci/proxy.sh "$folder"
    echo "== $name: $("$folder/bin/python" --version), JupyterHub $("$folder/bin/jupyterhub" --version)"
}

# Runs tests in the environment; the first failure of one is printed, and it is repeated.
tests() {
    "$folder/bin/python" -m pytest --reruns 1 -rsR "$@"
}

all_parts() {
    tests -n 3 -m "unit or jobs" --ignore tests/docs \
        --ignore tests/magics/test_notebook.py --ignore tests/functions/test_notebook.py \
        --ignore tests/magics/test_terminal.py
}

hubs() {
    # shellcheck disable=SC2086
    tests -n 2 -m "hub and not scheduler and not browser" $HUBS
}

[ "${1:-oldest}" != oldest ] || (environment oldest "$(first python3.9 python3.10)" 'jupyterhub==4.1.*'; all_parts; hubs)
# shellcheck disable=SC2086
[ "${1:-hub5}" != hub5 ] || (environment hub5 "$(first python3.11 python3.12 python3.10)" 'jupyterhub==5.*'; tests -n 3 -m unit $HUB_PARTS; hubs)
[ "${1:-newest}" != newest ] || (environment newest "$(first python3.13 python3.12)"; all_parts)
