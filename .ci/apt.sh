#!/bin/sh
# Install Debian packages that are missing. Exit status 1: this is impossible here.
# usage: .ci/apt.sh COMMAND-THAT-SHOWS-THEY-ARE-THERE PACKAGE...
set -eu
command=$1
shift
PATH=$PATH:/usr/sbin:/sbin
if command -v "$command" >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "$command is not installed; as root on Debian it would be: apt-get install $*" >&2
    exit 1
fi
echo "Installing $* ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
