#!/bin/sh
# Run all tests that this machine can run, and list at the end those that it cannot, with the reasons.
set -u
cd "$(dirname "$0")/.."
notes=$(mktemp -d)
trap 'rm -rf "$notes"' EXIT

make="make --no-print-directory"
# The tests write here why one failed that was repeated.
BATCHSPAWNER_FIRST_FAILURES=$notes/first-failures
export BATCHSPAWNER_FIRST_FAILURES
# These run on all real schedulers; `make test-slurm` and the other targets of schedulers run all tests of each.
EVERYWHERE="tests/test_contract.py tests/secrets tests/hub/test_servers.py tests/hub/test_profiles.py"
# Tests of what keeps users from each other's servers, on one of them.
GUARDED="tests/hub/test_internal_ssl.py tests/hub/test_secrets.py tests/hub/test_launcher.py"

skip() { echo "SKIPPED $1: $2" >> "$notes/skipped"; }

# Run one part, and print its output when it has ended, because others run at the same time.
# Each test has a limit of its own; that of a part is for what hangs outside of the tests.
part() {
    name=$1
    shift
    {
        printf '\n===== %s\n' "$name"
        start=$(date +%s)
        timeout --foreground --kill-after=60 4800 "$@" || echo "$name" >> "$notes/failed"
        echo "($name took $(($(date +%s) - start)) s)"
    } > "$notes/said-$name" 2>&1 < /dev/null
    cat "$notes/said-$name"
    grep '^RERUN' "$notes/said-$name" | sort -u >> "$notes/unsteady"
}

# Check whether there are real schedulers for several users here, once everything is installed.
is_cluster() { [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; }

scheduler() {
    only=$EVERYWHERE
    [ "$1" != slurm ] || only="$only $GUARDED"
    if ! is_cluster; then skip "$1" "for several users it needs root on Debian"
    elif [ -e "$notes/no-$1" ]; then skip "$1" "its packages could not be installed"
    else part "$1" $make "test-$1" ONLY="$only"; fi
}

browser() {
    if [ -e "$notes/no-browser" ]; then skip "$1" "Chromium is not installed"
    elif [ "$1" = browser-slurm ] && { ! is_cluster || [ -e "$notes/no-slurm" ]; }; then
        skip "$1" "it needs a Slurm for several users"
    else part "$1" $make "test-$1"; fi
}

# These install something, so nothing else may run beside them.
$make proxy || exit 1
.ci/clusters.sh .venv-test
.ci/services.sh .venv-test
.ci/apt.sh tsp task-spooler || skip example "docs/adding-a-scheduler.md needs Task Spooler"
.ci/browser.sh || : > "$notes/no-browser"
if is_cluster; then
    for one in slurm htcondor oar slurm24; do
        ".ci/$one.sh" > /dev/null || : > "$notes/no-$one"
    done
fi
part lint $make lint
part unit $make test-unit
# The rest mostly waits, so several parts run at a time.
{ scheduler slurm; browser browser-slurm; browser browser; part oldest .ci/versions.sh oldest; part chaos $make chaos MINUTES=3 SEED=1; } &
{ scheduler gridengine; scheduler oar; scheduler htcondor; part tutorial $make test-tutorial; part newest .ci/versions.sh newest; } &
part hub $make test-hub
part clusters $make test-clusters
part kernels $make test-kernels
part jobs $make test-jobs
scheduler slurm24
part hub5 .ci/versions.sh hub5
part packaging $make test-packaging
part docs $make docs
wait

[ ! -e "$notes/skipped" ] || { echo; cat "$notes/skipped"; }
if [ -s "$notes/unsteady" ]; then
    [ ! -e "$notes/first-failures" ] || { printf '\nReasons of the first failures:\n'; cat "$notes/first-failures"; }
    printf '\nThese tests failed and were repeated; the reasons are above:\n'
    cat "$notes/unsteady"
fi
if [ -e "$notes/failed" ]; then
    printf '\nFAILED: %s\n' "$(tr '\n' ' ' < "$notes/failed")"
    exit 1
fi
printf '\nEverything that ran has passed.\n'
