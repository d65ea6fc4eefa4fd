#!/bin/sh
# Put a JupyterHub for a batch cluster on this machine, or bring one up to date: docs/production.md.
# usage: install.sh SETTINGS     as root; SETTINGS is a file like settings.example
#
# It says what it changes, so a second run says nothing. It starts and stops no service.
# shellcheck disable=SC1003,SC1090,SC2034,SC2154
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)

fail() { echo "install.sh: $1" >&2; exit 1; }
changed() { echo "changed: $1"; }

# The settings, with their defaults; `fill` uses many of them.
[ $# = 1 ] || fail "usage: install.sh SETTINGS"
case $1 in /*) settings=$1 ;; *) settings=$PWD/$1 ;; esac
PREFIX=/opt/jupyterhub ETC=/etc/jupyterhub STATE=/var/lib/jupyterhub
BACKUPS=/var/backups/jupyterhub BACKUPS_KEPT=14 UNITS=/etc/systemd/system
ACCOUNT=jupyterhub GROUP=hub-users RULES=/etc/sudoers.d/batchspawner
PYTHON=python3 PACKAGE=batchspawner RELEASE='' HUB_PACKAGES=''
NODES='' NODE_PACKAGES=jupyterlab
PUBLIC_NAME='' CERTIFICATE='' CERTIFICATE_KEY='' HTTPS_PORT=443
PROXY_PORT=8000 PROXY_API_PORT=8001 HUB_ADDRESS='' HUB_LISTEN=0.0.0.0 HUB_PORT=8081
DATABASE='' SCHEDULER=slurm SPAWNER='' VARIABLES='' SEARCH=/usr/local/bin:/usr/bin:/bin
CULL_AFTER_S=14400
. "$settings"
SPAWNER=${SPAWNER:-$SCHEDULER} DATABASE=${DATABASE:-sqlite:///$STATE/jupyterhub.sqlite}
for needed in RELEASE HUB_ADDRESS PUBLIC_NAME CERTIFICATE CERTIFICATE_KEY; do
    eval "[ -n \"\$$needed\" ]" || fail "$settings does not set $needed"
done
[ "$(id -u)" = 0 ] || fail "it installs accounts, rules of sudo and services: run it as root"
for tool in npm sudo visudo useradd "$PYTHON"; do
    command -v "$tool" > /dev/null || fail "$tool is not installed"
done
release=$PREFIX/releases/$RELEASE
nodes=${NODES:-$PREFIX/nodes}

# Make a file of standard input. usage: put FILE MODE OWNER
put() {
    cat > "$work/new"
    if cmp -s "$work/new" "$1" && [ "$(stat -c '%a %U:%G' "$1")" = "$2 $3" ]; then return; fi
    install -m "$2" -o "${3%:*}" -g "${3#*:}" "$work/new" "$1.new"
    mv -f "$1.new" "$1"
    changed "$1"
}

# Make a folder. usage: folder PATH MODE OWNER
folder() {
    if [ "$(stat -c '%a %U:%G' "$1" 2> /dev/null)" = "$2 $3" ]; then return; fi
    install -d -m "$2" -o "${3%:*}" -g "${3#*:}" "$1"
    changed "$1"
}

# Make a file of one of this folder with the settings in it. usage: fill NAME FILE MODE OWNER
fill() {
    script=''
    for name in PREFIX ETC STATE BACKUPS BACKUPS_KEPT ACCOUNT PUBLIC_NAME CERTIFICATE \
        CERTIFICATE_KEY HTTPS_PORT PROXY_PORT PROXY_API_PORT HUB_ADDRESS HUB_LISTEN HUB_PORT \
        DATABASE SPAWNER CULL_AFTER_S nodes; do
        eval "value=\$$name"
        case $value in *'|'* | *'\'* | *'&'*) fail "$name: '|', '&' and '\\' are not allowed" ;; esac
        script="$script;s|@$name@|$value|g"
    done
    sed "${script#;}" "$here/$1" > "$work/filled"
    put "$2" "$3" "$4" < "$work/filled"
}

# Make a virtual environment once. usage: environment FOLDER PACKAGES...
environment() {
    made=$1
    shift
    wanted="$*"
    if [ -e "$made/.complete" ]; then
        [ "$(cat "$made/.complete")" = "$wanted" ] && return
        fail "$made has other packages than the settings name: choose another RELEASE"
    fi
    echo "installing: $made (some minutes)"
    "$PYTHON" -m venv "$made" || fail "$PYTHON makes no virtual environment; is python3-venv there?"
    "$made/bin/python" -m pip install -q --disable-pip-version-check --upgrade pip
    "$made/bin/python" -m pip install -q --disable-pip-version-check "$@"
    echo "$wanted" > "$made/.complete"
    changed "$made"
}

accounts() {
    if ! getent group "$GROUP" > /dev/null; then
        groupadd "$GROUP"
        changed "group $GROUP"
    fi
    if ! getent passwd "$ACCOUNT" > /dev/null; then
        useradd --system --user-group --home-dir "$STATE" --shell /usr/sbin/nologin "$ACCOUNT"
        changed "account $ACCOUNT"
    fi
}

# The Python of root may be in a folder that nobody else may enter.
interpreter() {
    real=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.executable))')
    sudo -u "$ACCOUNT" "$real" -c '' 2> /dev/null ||
        fail "the account $ACCOUNT cannot run $real: set PYTHON to one that all users can run"
}

programs() {
    case $DATABASE in
        postgresql+psycopg:*) driver='psycopg[binary]' ;;
        # Which driver it means without a name depends on the release of SQLAlchemy.
        postgresql:*) fail "write DATABASE as postgresql+psycopg:${DATABASE#*:}" ;;
        *) driver='' ;;
    esac
    # $HUB_PACKAGES and $driver: several words, or none
    # shellcheck disable=SC2086
    environment "$release" "$PACKAGE" jupyterhub jupyterhub-idle-culler $driver $HUB_PACKAGES
    if [ ! -x "$release/bin/configurable-http-proxy" ]; then
        npm install --silent --no-fund --no-audit --prefix "$release/lib/proxy" \
            configurable-http-proxy@5
        ln -s ../lib/proxy/node_modules/.bin/configurable-http-proxy "$release/bin/"
        changed "$release/bin/configurable-http-proxy"
    fi
    hub=$("$release/bin/python" -c 'import jupyterhub; print(jupyterhub.__version__)')
    # shellcheck disable=SC2086
    environment "$nodes/$RELEASE" "$PACKAGE" "jupyterhub==$hub" $NODE_PACKAGES
    for one in "$PREFIX/current:releases/$RELEASE" "$nodes/current:$RELEASE"; do
        if [ "$(readlink "${one%%:*}")" = "${one#*:}" ]; then continue; fi
        ln -sfn "${one#*:}" "${one%%:*}"
        changed "${one%%:*} -> ${one#*:}"
    done
}

secret() { "$release/bin/python" -c 'import secrets; print(secrets.token_hex(32))'; }

configuration() {
    folder "$ETC" 750 "root:$ACCOUNT"
    folder "$STATE" 700 "$ACCOUNT:$ACCOUNT"
    folder "$BACKUPS" 700 root:root
    # Made once: with others, all users would have to log in again, and stored tokens were lost.
    if [ ! -e "$ETC/secrets.env" ]; then
        printf 'CONFIGPROXY_AUTH_TOKEN=%s\nJUPYTERHUB_CRYPT_KEY=%s\n' "$(secret)" "$(secret)" |
            put "$ETC/secrets.env" 640 "root:$ACCOUNT"
    fi
    {
        echo "PATH=$PREFIX/current/bin:$SEARCH"
        for one in $VARIABLES; do echo "$one"; done
    } | put "$ETC/hub.env" 644 root:root
    fill jupyterhub_config.py "$ETC/jupyterhub_config.py" 640 "root:$ACCOUNT"
    # The site's own file is never changed.
    if [ ! -e "$ETC/site.py" ]; then
        put "$ETC/site.py" 640 "root:$ACCOUNT" < "$here/site.py"
    fi
    fill nginx.conf "$ETC/nginx.conf" 644 root:root
}

launcher() {
    tool="$release/bin/batchspawner"
    folder /etc/batchspawner 755 root:root
    "$tool" launcher program > "$work/program"
    put /usr/local/sbin/batchspawner-launcher 755 root:root < "$work/program"
    # The rules keep the scheduler's variables that they are made with.
    # shellcheck disable=SC2086
    env PATH="$SEARCH" $VARIABLES "$tool" launcher rules --scheduler "$SCHEDULER" --group "$GROUP" > "$work/rules"
    put /etc/batchspawner/launcher.json 644 root:root < "$work/rules"
    "$tool" sudoers --group "$GROUP" --hub "$ACCOUNT" > "$work/sudoers"
    visudo -cqf "$work/sudoers" || fail "visudo refuses the rule for sudo"
    put "$RULES" 440 root:root < "$work/sudoers"
}

services() {
    for unit in jupyterhub.service jupyterhub-proxy.service jupyterhub-backup.service \
        jupyterhub-backup.timer; do
        fill "$unit" "$UNITS/$unit" 644 root:root
    done
    # It contains the password of the database.
    fill backup.py "$PREFIX/backup.py" 700 root:root
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
accounts
interpreter
mkdir -p "$PREFIX/releases" "$nodes"
programs
configuration
launcher
services
