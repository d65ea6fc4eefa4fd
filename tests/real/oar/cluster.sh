#!/bin/bash
# Run a real OAR of Debian's packages on this machine, as root, without systemd, for tests.
# usage: cluster.sh start | stop | stop-server | start-server | stop-database | start-database
# OAR has one configuration, one user and two ports (6666, 6667) a machine: one cluster at a time.
set -eu
: "${OAR_PREFIX:?names the folder of the cluster}" "${OAR_DB_PORT:=15441}" "${OAR_SLOTS:=16}"
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
PROGRAMS=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
CONF=/etc/oar/oar.conf
SERVER=/run/oar-server.pid SSHD=/run/oar-node_sshd.pid

pid_in() { head -1 "$1" 2>/dev/null || true; }

alive() {
    local pid; pid=$(pid_in "$1")
    [ -n "$pid" ] && [ -e "/proc/$pid/stat" ] && ! grep -q ') Z ' "/proc/$pid/stat"
}

finish() { # PIDFILE [SIGNAL]: end a daemon and wait for its end
    alive "$1" || return 0
    local pid; pid=$(pid_in "$1")
    kill "-${2:-TERM}" "$pid"
    for _ in $(seq 100); do alive "$1" || return 0; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
}

database() { (cd / && setpriv --reuid postgres --regid postgres --init-groups "$PROGRAMS/$1" "${@:2}"); }

start_database() {
    if [ ! -d "$OAR_PREFIX/pg" ]; then
        install -d -o postgres -g postgres -m 700 "$OAR_PREFIX/pg"
        database initdb -D "$OAR_PREFIX/pg" -A trust -U postgres > "$OAR_PREFIX/initdb.log"
    fi
    alive "$OAR_PREFIX/pg/postmaster.pid" && return
    database pg_ctl -D "$OAR_PREFIX/pg" -l "$OAR_PREFIX/pg/log" -w start -o \
        "-p $OAR_DB_PORT -k $OAR_PREFIX/pg -c listen_addresses=127.0.0.1 -c fsync=off" > /dev/null
}

stop_database() { finish "$OAR_PREFIX/pg/postmaster.pid" INT; }

setting() {
    sed -i -E "/^#?$1=/d" "$CONF"
    echo "$1=\"$2\"" >> "$CONF"
}

configure() {
    [ -e "$CONF.before-tests" ] || cp -p "$CONF" "$CONF.before-tests"
    setting DB_PORT "$OAR_DB_PORT"
    setting DB_BASE_PASSWD oar
    setting DB_BASE_PASSWD_RO oar_ro
    setting LOG_LEVEL 2
    setting FINAUD_FREQUENCY 0
    setting SCHEDULER_JOB_SECURITY_TIME 1
    setting SCHEDULER_GANTT_HOLE_MINIMUM_TIME 1
    setting SCHEDULER_MIN_TIME_BETWEEN_2_CALLS 1
    # Without it jobs are not put into cpusets, which a container does not have.
    sed -i -E 's/^(JOB_RESOURCE_MANAGER_PROPERTY_DB_FIELD=)/#\1/' "$CONF"
    chown oar:root "$CONF" && chmod 600 "$CONF"
    # A locked account may not log in with its key where sshd does without PAM.
    usermod -p '*' oar
    touch /var/log/oar.log && chown oar:root /var/log/oar.log
    mkdir -p /run/sshd
    if ! oar-database --check > /dev/null 2>&1; then
        oar-database -y --create --db-admin-user postgres --db-admin-pass x \
            > "$OAR_PREFIX/oar-database.log" 2>&1 || { cat "$OAR_PREFIX/oar-database.log" >&2; exit 1; }
    fi
}

start_server() {
    alive "$SSHD" || /usr/sbin/sshd -f /etc/oar/sshd_config -o PidFile="$SSHD" 2> "$OAR_PREFIX/sshd.log"
    alive "$SERVER" || (cd / && exec setsid /usr/sbin/oar-server < /dev/null > "$OAR_PREFIX/server.log" 2>&1)
    for _ in $(seq 100); do (exec 3<> /dev/tcp/127.0.0.1/6666) 2> /dev/null && return; sleep 0.1; done
    echo "oar-server does not listen" >&2
    exit 1
}

stop_server() {
    local pid children=""
    pid=$(pid_in "$SERVER")
    [ -z "$pid" ] || children=$(ps -o pid= --ppid "$pid")
    finish "$SERVER"
    for pid in $children; do kill "$pid" 2> /dev/null || true; done
    rm -f "$SERVER"
}

add_slots() {
    [ -z "$(oarnodes -l 2> /dev/null)" ] || return 0
    for name in host cpu core; do
        oarproperty -a "$name" $([ "$name" = host ] && echo -c) > /dev/null 2>&1 || true
    done
    for slot in $(seq "$OAR_SLOTS"); do
        oarnodesetting -a -h localhost -p host=localhost -p cpu=1 -p "core=$slot" \
            -p "cpuset=$((slot - 1))" -s Alive > /dev/null
    done
}

case $1 in
    start)
        chmod 755 "$OAR_PREFIX"
        stop_server # which a killed session has left, with its database
        start_database; configure; start_server; add_slots
        ;;
    stop)
        stop_server
        finish "$SSHD"
        rm -f "$SSHD"
        stop_database
        [ ! -e "$CONF.before-tests" ] || mv "$CONF.before-tests" "$CONF"
        ;;
    start-server) start_server ;;
    stop-server) stop_server ;;
    start-database) start_database ;;
    stop-database) stop_database ;;
    *) echo "unknown: $1" >&2; exit 2 ;;
esac
