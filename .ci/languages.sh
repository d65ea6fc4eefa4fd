#!/bin/sh
# Install kernels that cannot encrypt, if possible; their tests are skipped for those that are missing.
# usage: .ci/languages.sh VENV
here=$(dirname "$0")
"$here/apt.sh" R r-base-core r-cran-irkernel || true
[ -d "$1/ipykernel6" ] || "$1/bin/python" -m pip install -qq --disable-pip-version-check --no-deps \
    --target "$1/ipykernel6" 'ipykernel<7' || echo "ipykernel 6 could not be installed" >&2
