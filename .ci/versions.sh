#!/bin/sh
# Repeat the unit tests, and those of servers on the local queue, with the oldest supported and the newest
# Python and JupyterHub that this machine has.
# usage: .ci/versions.sh [oldest|newest]
set -eu

# Prints the first of the given Pythons that works here.
first() {
    for one in "$@"; do
        for place in "$one" "$HOME"/.pyenv/versions/"${one#python}".*/bin/"$one"; do
            if "$place" -c 'import ensurepip, venv' 2>/dev/null; then echo "$place"; return; fi
        done
    done
}

run() {
    name=$1 python=$2
    shift 2
    if [ -z "$python" ]; then echo "SKIPPED $name: this machine has no such Python"; return; fi
    folder=.venv-$name
    PYTHON=$python .ci/venv.sh "$folder" dev,demo "$@"
    .ci/proxy.sh "$folder"
    echo "== $name: $("$folder/bin/python" --version), JupyterHub $("$folder/bin/jupyterhub" --version)"
    "$folder/bin/python" -m pytest -n 3 --reruns 1 -rsR -m "unit or jobs" \
        --ignore tests/magics/test_notebook.py --ignore tests/functions/test_notebook.py \
        --ignore tests/magics/test_terminal.py --ignore tests/docs
    "$folder/bin/python" -m pytest --reruns 1 -rsR -n 2 -m "hub and not scheduler and not browser" \
        tests/hub/test_servers.py tests/hub/test_handler.py
}

[ "${1:-oldest}" != oldest ] || run oldest "$(first python3.9 python3.10)" 'jupyterhub==4.1.*'
[ "${1:-newest}" != newest ] || run newest "$(first python3.13 python3.12)"
