#!/bin/sh
# Unpack a real Slurm 24.11 into a folder of /var/tmp; the machine's own packages stay as they are.
set -eu
cd "$(dirname "$0")/.."
programs=/var/tmp/batchspawner-slurm24
.ci/apt.sh patchelf patchelf
.ci/apt.sh munged munge sudo
[ -e "$programs/bin" ] || tests/real/slurm/install24.sh "$programs"
