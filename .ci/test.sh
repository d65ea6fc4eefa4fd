#!/bin/sh
# Run every test that this machine can run, and say at the end which it could not, and why.
set -u
cd "$(dirname "$0")/.."
notes=$(mktemp -d)
trap 'rm -rf "$notes"' EXIT

part() {
    name=$1
    shift
    printf '\n===== %s\n' "$name"
    start=$(date +%s)
    "$@" || echo "$name" >> "$notes/failed"
    echo "($name took $(($(date +%s) - start)) s)"
}

skip() { echo "SKIPPED $1: $2" >> "$notes/skipped"; }

# Real schedulers, one after the other; two such lanes run at a time, for they mostly wait. What every
# change can break is tested on all of them; `make test-slurm` and its like test all that there is.
EVERYWHERE="tests/test_contract.py tests/hub/test_servers.py tests/hub/test_profiles.py"
# What keeps people from each other's servers, on one of them.
GUARDED="tests/hub/test_internal_ssl.py tests/hub/test_secrets.py tests/hub/test_launcher.py"

lane() {
    for scheduler in "$@"; do
        if [ "$(id -u)" != 0 ]; then skip "$scheduler" "for several users it needs root"
        elif [ ! -e ".ci/$scheduler.sh" ] || ".ci/$scheduler.sh"; then
            only=$EVERYWHERE
            [ "$scheduler" != slurm ] || only="$only $GUARDED"
            part "$scheduler" make --no-print-directory "test-$scheduler" ONLY="$only"
        else skip "$scheduler" "its packages could not be installed"; fi
    done
}

make --no-print-directory proxy || exit 1
part lint make --no-print-directory lint
.ci/apt.sh tsp task-spooler || skip example "docs/adding-a-scheduler.md needs Task Spooler"
part unit make --no-print-directory test-unit
part hub make --no-print-directory test-hub
part clusters make --no-print-directory test-clusters
if .ci/browser.sh; then part browser make --no-print-directory test-browser
else skip browser "Chromium is not installed"; fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    # Now, because apt-get can only run once at a time.
    for scheduler in slurm htcondor oar slurm24; do ".ci/$scheduler.sh" > /dev/null; done
fi
lane slurm htcondor > "$notes/first" 2>&1 &
lane gridengine oar slurm24 > "$notes/second" 2>&1
wait
cat "$notes/first" "$notes/second"
if [ "$(id -u)" = 0 ] && .ci/slurm.sh && .ci/browser.sh; then
    part browser-slurm make --no-print-directory test-browser-slurm
else skip browser-slurm "it needs a Slurm for several users, and Chromium"; fi
part kernels make --no-print-directory test-kernels
part tutorial make --no-print-directory test-tutorial
part packaging make --no-print-directory test-packaging
part docs make --no-print-directory docs
part versions make --no-print-directory test-versions

[ ! -e "$notes/skipped" ] || { echo; cat "$notes/skipped"; }
if [ -e "$notes/failed" ]; then
    printf '\nFAILED: %s\n' "$(tr '\n' ' ' < "$notes/failed")"
    exit 1
fi
printf '\nEverything that ran has passed.\n'
