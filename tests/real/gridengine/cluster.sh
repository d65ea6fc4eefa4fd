#!/bin/bash
# cluster.sh install|start|stop|status|env|wipe|kill-master|start-master|restart-master
# A one-machine Grid Engine 8.1.9 (Debian 12's packages) under a prefix: nothing is installed by dpkg, nothing goes on PATH,
# no systemd, no mail server, no /etc change except the system user sgeadmin.
#   GE_PREFIX (/opt/sge)  GE_PORT (6444)  GE_EXECD_PORT (GE_PORT + 1)  GE_HOST ($(hostname); any name that resolves to this machine)  GE_SLOTS (50)  GE_SPOOL (classic|berkeleydb)
#   eval "$(cluster.sh env)"  puts qsub, qstat ... on PATH.      start [--wipe] forgets all jobs and configuration first.
set -e
P=${GE_PREFIX:-/opt/sge}; PORT=${GE_PORT:-6444}; XPORT=${GE_EXECD_PORT:-$((PORT+1))}; H=${GE_HOST:-$(hostname)}; SLOTS=${GE_SLOTS:-50}; SP=${GE_SPOOL:-classic}
A=lx-amd64; S=$P/spool; C=$P/default/common; ADM=sgeadmin
export SGE_ROOT=$P SGE_CELL=default SGE_QMASTER_PORT=$PORT SGE_EXECD_PORT=$XPORT SGE_CLUSTER_NAME=p$PORT SGE_ARCH=$A
export PATH=$P/bin/$A:$PATH
clean="env -i PATH=$P/bin/$A:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 SGE_ROOT=$P SGE_CELL=default SGE_QMASTER_PORT=$PORT SGE_EXECD_PORT=$XPORT SGE_CLUSTER_NAME=p$PORT"  # jobs inherit sge_execd's environment
alive() { [ -s "$1" ] && p=$(cat "$1") && [ "$(cat /proc/$p/comm 2>/dev/null)" = "$2" ]; }   # pid file, process name
mpid=$S/qmaster/qmaster.pid
xpid() { ls $S/execd/*/execd.pid 2>/dev/null | head -1; }
install() {
  d=$(mktemp -d); ( cd $d; apt-get download -qq gridengine-{master,exec,client,common} libjemalloc2 libhwloc15 libmunge2 libtirpc3 libdb5.3 2>/dev/null
    for f in *.deb; do dpkg-deb -x $f x; done )
  mkdir -p $P/bin/$A $P/lib/$A
  cp -a $d/x/usr/lib/gridengine/. $P/bin/$A/                      # RUNPATH of every binary is $ORIGIN/../../lib/lx-amd64
  rm -f $P/bin/$A/db_{dump,load}; cp $P/bin/$A/lib*.so $P/lib/$A/
  cp -a $d/x/usr/lib/x86_64-linux-gnu/{libjemalloc.so,libhwloc.so,libmunge.so,libdb-5.3.so}* $P/lib/$A/
  find $d/x -name 'libtirpc.so*' -exec cp -a {} $P/lib/$A/ \;
  cp -a $d/x/usr/share/gridengine/{util,default-configuration} $P/; rm -rf $P/mpi $d
  # sge_shepherd runs with two user ids, for which the loader ignores RUNPATH: these have to be the system's.
  DEBIAN_FRONTEND=noninteractive apt-get install -o DPkg::Lock::Timeout=120 -y -qq --no-install-recommends libjemalloc2 libhwloc15 libmunge2 libtirpc3 libdb5.3 >/dev/null
  # Helpers and the spooling library are looked for in the folder that Debian's build knows.
  [ -e /usr/lib/gridengine ] || ln -sfn $P/bin/$A /usr/lib/gridengine
  id $ADM >/dev/null 2>&1 || useradd --system --user-group --home-dir $P --no-create-home --shell /bin/false $ADM
}
init() {                                                            # empty cell + spool
  rm -rf $P/default $S; mkdir -p $C $S/qmaster/job_scripts $S/execd $S/db; 
  echo $H > $C/act_qmaster
  { echo -n "$H"; for n in $(hostname) localhost; do [ $n = $H ] || echo -n " $n"; done; echo; } > $C/host_aliases  # one name for this machine
  lib=libspoolc par="$C;$S/qmaster"; [ $SP = berkeleydb ] && lib=libspoolb par=$S/db
  cat > $C/bootstrap <<X
admin_user              $ADM
default_domain          none
ignore_fqdn             true
spooling_method         $SP
spooling_lib            $lib
spooling_params         $par
binary_path             $P/bin
qmaster_spool_dir       $S/qmaster
security_mode           none
listener_threads        2
worker_threads          2
scheduler_threads       1
X
  sed -e 's#^\(min_[ug]id\) .*#\1 0#' -e "s#^execd_spool_dir.*#execd_spool_dir $S/execd#" -e 's#^load_report_time.*#load_report_time 00:00:05#' \
      -e 's#^reporting_params.*#reporting_params accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:00 joblog=false sharelog=00:00:00#' \
      -e "s#^gid_range.*#gid_range ${GE_GIDS:-65400-65500}#" $P/default-configuration > $P/conf
  echo "export SGE_ROOT=$P SGE_CELL=default SGE_QMASTER_PORT=$PORT SGE_EXECD_PORT=$XPORT PATH=$P/bin/$A:\$PATH" > $C/settings.sh
  chown -R $ADM:$ADM $P/default $S
  a() { setpriv --reuid $ADM --regid $ADM --clear-groups "$P/bin/$A/$@"; }
  a spoolinit $SP $lib "$par" init
  a spooldefaults configuration $P/conf
  a spooldefaults complexes $P/util/resources/centry
  a spooldefaults usersets $P/util/resources/usersets
  a spooldefaults managers $ADM root
}
start_master() {
  alive $mpid sge_qmaster && return
  ( cd /; $clean sge_qmaster >/dev/null 2>&1 </dev/null ) || true
  for i in $(seq 100); do qconf -sh >/dev/null 2>&1 && return; sleep .1; done; tail -3 $S/qmaster/messages; return 1
}
start_execd() { f=$(xpid); [ "$f" ] && alive $f sge_execd && return; ( cd /; $clean sge_execd >/dev/null 2>&1 </dev/null ); }
config() {
  t=$(mktemp -d)
  qconf -as $H; qconf -ah $H || true
  printf '%s\n' "hostname $H" 'load_scaling NONE' 'complex_values NONE' 'user_lists NONE' 'xuser_lists NONE' 'projects NONE' \
    'xprojects NONE' 'usage_scaling NONE' 'report_variables NONE' > $t/h; qconf -Ae $t/h
  printf '%s\n' 'group_name @allhosts' "hostlist $H" > $t/g; qconf -Ahgrp $t/g
  qconf -Ap $P/util/resources/pe/smp
  cat > $t/q <<X
qname                 all.q
hostlist              @allhosts
seq_no                0
load_thresholds       NONE
suspend_thresholds    NONE
nsuspend              1
suspend_interval      00:05:00
priority              0
min_cpu_interval      00:05:00
processors            UNDEFINED
qtype                 BATCH INTERACTIVE
ckpt_list             NONE
pe_list               smp
rerun                 FALSE
slots                 $SLOTS
tmpdir                /tmp
shell                 /bin/bash
prolog                NONE
epilog                NONE
shell_start_mode      unix_behavior
starter_method        NONE
suspend_method        NONE
resume_method         NONE
terminate_method      NONE
notify                00:00:60
owner_list            NONE
user_lists            NONE
xuser_lists           NONE
subordinate_list      NONE
complex_values        NONE
projects              NONE
xprojects             NONE
calendar              NONE
initial_state         default
s_rt                  INFINITY
h_rt                  INFINITY
s_cpu                 INFINITY
h_cpu                 INFINITY
s_fsize               INFINITY
h_fsize               INFINITY
s_data                INFINITY
h_data                INFINITY
s_stack               INFINITY
h_stack               INFINITY
s_core                INFINITY
h_core                INFINITY
s_rss                 INFINITY
h_rss                 INFINITY
s_vmem                INFINITY
h_vmem                INFINITY
X
  qconf -Aq $t/q
  qconf -ssconf | sed -e 's/^schedule_interval.*/schedule_interval 0:0:1/' -e 's/^flush_submit_sec.*/flush_submit_sec 1/' \
    -e 's/^flush_finish_sec.*/flush_finish_sec 1/' -e 's/^job_load_adjustments.*/job_load_adjustments NONE/' \
    -e 's/^schedd_job_info.*/schedd_job_info true/' > $t/s; qconf -Msconf $t/s
  rm -rf $t
}
case $1 in
install) install;;
start)
  [ -x $P/bin/$A/sge_qmaster ] || install
  [ "$2" = --wipe ] && { $0 stop; rm -rf $P/default $S; }
  new=; [ -f $C/bootstrap ] || { init >/dev/null; new=1; }
  start_master; [ $new ] && config >/dev/null 2>&1; start_execd
  for i in $(seq 200); do f=$(xpid); [ "$f" ] && alive $f sge_execd && qstat -f -q all.q 2>/dev/null | grep -q "all.q@.*$A *\$" && break; sleep .1; done; $0 status;;
stop)                                                               # SIGTERM = clean stop; running jobs are killed first
  qdel -u '*' >/dev/null 2>&1 || true; sleep 1.5
  f=$(xpid); [ "$f" ] && alive $f sge_execd && kill $(cat $f) || true
  alive $mpid sge_qmaster && { p=$(cat $mpid); kill $p; for i in $(seq 100); do [ -d /proc/$p ] || break; sleep .1; done; } || true;;
kill-master) alive $mpid sge_qmaster && { p=$(cat $mpid); kill ${2:--TERM} $p; while [ -d /proc/$p ]; do sleep .1; done; };;
start-master) start_master;;
restart-master) $0 kill-master $2; $0 start-master;;
status) alive $mpid sge_qmaster && echo "qmaster pid $(cat $mpid)" || echo "qmaster down"
  f=$(xpid); [ "$f" ] && alive $f sge_execd && echo "execd pid $(cat $f)" || echo "execd down"; timeout 10 qstat -f -q all.q || true;;
env) cat $C/settings.sh;;
wipe) $0 stop; rm -rf $P/default $S;;
*) sed -n 2,6p $0; exit 2;;
esac
