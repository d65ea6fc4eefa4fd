#!/bin/sh
# Run every test that this machine can run, and say at the end which it could not, and why.
set -u
cd "$(dirname "$0")/.."
skipped=""
failed=""

part() {
    name=$1
    shift
    printf '\n===== %s\n' "$name"
    start=$(date +%s)
    "$@" || failed="$failed $name"
    echo "($name took $(($(date +%s) - start)) s)"
}

skip() { skipped="$skipped
SKIPPED $1: $2"; }

make --no-print-directory proxy || exit 1
part lint make --no-print-directory lint
.ci/apt.sh tsp task-spooler || skip example "the example of docs/adding-a-scheduler.md needs Task Spooler"
part unit make --no-print-directory test-unit
part hub make --no-print-directory test-hub
if .ci/browser.sh; then part browser make --no-print-directory test-browser
else skip browser "Chromium is not installed"; fi
if [ "$(id -u)" != 0 ]; then skip slurm "a Slurm for several users needs root"
elif .ci/slurm.sh; then part slurm make --no-print-directory test-slurm
else skip slurm "Slurm's packages are not installed"; fi
if [ "$(id -u)" != 0 ]; then skip gridengine "a Grid Engine for several users needs root"
elif command -v apt-get >/dev/null; then part gridengine make --no-print-directory test-gridengine
else skip gridengine "its packages come from Debian, by apt-get"; fi
if [ "$(id -u)" != 0 ]; then skip htcondor "an HTCondor for several users needs root"
elif .ci/htcondor.sh; then part htcondor make --no-print-directory test-htcondor
else skip htcondor "its packages could not be fetched"; fi
if [ "$(id -u)" != 0 ]; then skip oar "an OAR for several users needs root"
elif .ci/oar.sh; then part oar make --no-print-directory test-oar
else skip oar "OAR's packages are not installed"; fi
part versions make --no-print-directory test-versions

echo "$skipped"
if [ -n "$failed" ]; then
    printf '\nFAILED:%s\n' "$failed"
    exit 1
fi
printf '\nEverything that ran has passed.\n'
