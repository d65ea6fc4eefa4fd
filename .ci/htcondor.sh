#!/bin/sh
# Unpack a real HTCondor into a folder of /var/tmp; the machine's packages stay as they are.
set -eu
cd "$(dirname "$0")/.."
HTC_PREFIX=/var/tmp/batchspawner-htcondor
export HTC_PREFIX
.ci/apt.sh patchelf patchelf
[ -x "$HTC_PREFIX/bin/condor_submit" ] || bash tests/real/htcondor/pool.sh install
