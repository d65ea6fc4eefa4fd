#!/bin/sh
# Make a virtual environment with this project in it, or print why that is impossible.
# usage: .ci/venv.sh FOLDER EXTRAS [PIP REQUIREMENT...]      PYTHON chooses the interpreter
set -eu
folder=$1 extras=$2
shift 2

fail() { printf '\nmake: %s\n' "$1" >&2; exit 1; }

usable() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; }

# The system's Python comes first: batch jobs of other users must be able to run it.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        usable "$PYTHON" || fail "PYTHON=$PYTHON is no Python >= 3.9 with the venv module."
        echo "$PYTHON"; return
    fi
    for one in /usr/bin/python3 python3 python3.13 python3.12 python3.11 python3.10 python3.9; do
        if usable "$one"; then echo "$one"; return; fi
    done
    fail "no Python >= 3.9 with the venv module was found. On Debian: apt-get install python3 python3-venv"
}

stamp=$folder/.made-with
want="$extras $* $(cat setup.py pyproject.toml | cksum)"
if [ -x "$folder/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then exit 0; fi

python=$(find_python)
if ! "$folder/bin/python" -c '' 2>/dev/null; then
    echo "Making $folder with $("$python" --version) ..."
    rm -rf "$folder"
    "$python" -m venv "$folder" || fail "cannot make $folder with $python."
fi
# The resolver of an old pip can search for many minutes.
"$folder/bin/python" -m pip install -qq --disable-pip-version-check --upgrade pip \
    || fail "pip could not be upgraded. Is there a network, and does pip reach a package index?"
echo "Installing batchspawner and what it needs into $folder (a minute or two, once) ..."
"$folder/bin/python" -m pip install -qq --disable-pip-version-check -e ".[$extras]" "$@" \
    || fail "pip could not install the packages. Is there a network, and does pip reach a package index?"
printf '%s' "$want" > "$stamp"
