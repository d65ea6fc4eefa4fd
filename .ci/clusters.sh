#!/bin/sh
# Install what tests of clusters need besides Python, if possible; tests are skipped for what is missing.
# usage: .ci/clusters.sh VENV
set -eu
here=$(dirname "$0")
"$here/apt.sh" mpiexec openmpi-bin libpmix-dev || true
"$here/apt.sh" sshd openssh-server || true
if command -v mpiexec >/dev/null; then
    "$1/bin/python" -m pip install -qq --disable-pip-version-check mpi4py \
        || echo "mpi4py could not be installed; the tests of MPI ranks are skipped" >&2
fi
