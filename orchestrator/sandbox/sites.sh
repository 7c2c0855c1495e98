#!/bin/bash
# A multi-site HPC testbed in one machine. Run as root.
#
#   sites.sh install               the host's packages that this needs (apt-get); `install sshd` adds a local sshd
#   sites.sh check                 what is missing on this host, one line each; exit 1 if anything is
#   sites.sh up NAME...            builds the image if missing, starts the sites that are not up, waits until they work
#   sites.sh stop [NAME...]        ends sites, keeps their state     sites.sh down [NAME...]   and forgets it
#   sites.sh status [--json]       name, address, state and link     sites.sh where            the state's folder
#   sites.sh exec NAME CMD...      runs CMD as root inside a site
#   sites.sh svc NAME SERVICE...   starts munged sshd sshd-otp gridftp-gsi gridftp-anon mariadbd slurmdbd slurmctld slurmd
#   sites.sh link NAME [rate=200mbit|none] [rtt=MS] [loss=P] [cc=cubic]    changes a link; open connections live on
# Faults:
#   sites.sh cut NAME [SECONDS]    packets vanish, for a while or until `mend NAME`
#   sites.sh kill-sshd NAME [SECONDS]         listener and sessions die; it starts again after SECONDS (0; - = never)
#   sites.sh drop-sessions NAME    open SSH sessions die, the listener stays
#   sites.sh restart-slurmctld NAME [SECONDS] ends it in good order, starts it again after SECONDS (0)
#   sites.sh kill-slurmctld NAME [SECONDS]    the same with kill -9
#   sites.sh power-off NAME        silence, as when the mains fail   sites.sh power-on NAME
#   sites.sh new-host-key NAME     as after a reinstallation: known_hosts keeps the old key
#   sites.sh purge                 everything down, and every file deleted
#
# Environment: CONVOY_TESTBED (state, /var/tmp/convoy-testbed), CONVOY_TESTBED_NET (10.77.0), CONVOY_TESTBED_MIRROR;
# read by `up` and remembered for each site: RATE, RTT (ms between two such sites), LOSS (a frame's chance on each
# cable), CC; and for new sites NODES=2 CPUS=4 GPUS=2 (a node) DBD=1 (slurmdbd + MariaDB) MAXSESSIONS=10 (of sshd).
set -euo pipefail
HERE=$(dirname "$(readlink -f "$0")")
TB=${CONVOY_TESTBED:-/var/tmp/convoy-testbed} BRIDGE=cv-bridge NET=${CONVOY_TESTBED_NET:-10.77.0}
export PATH=$PATH:/usr/sbin:/sbin

die() {
  echo "testbed: $*" >&2
  exit 1
}

sites() { ls "$TB/sites" 2>/dev/null || true; }

. "$HERE/image.sh"
. "$HERE/keys.sh"
. "$HERE/network.sh"
. "$HERE/slurm.sh"

check() { # what is missing, one line each
  local tool missing=0
  complain() { echo "$1" && missing=1; }
  [ "$(id -u)" = 0 ] || complain "not root (namespaces, overlay mounts and a bridge need it)"
  for tool in ip tc unshare nsenter setsid ssh-keygen openssl mmdebstrap python3 pgrep flock awk; do
    command -v $tool >/dev/null || complain "the tool $tool is not installed (run: $HERE/sites.sh install)"
  done
  [ -c /dev/net/tun ] || complain "/dev/net/tun is not there"
  grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || complain "the kernel has no overlay file system"
  [ "$missing" = 1 ] || unshare -m -p -u -i -n --fork true 2>/dev/null || complain "namespaces are forbidden here"
  return $missing
}

install_tools() { # openssh-server only when asked for: on a machine with an init system it would begin to serve
  local packages=(mmdebstrap openssh-client rsync iproute2 iptables util-linux procps openssl python3)
  [ "${1:-}" != sshd ] || packages+=(openssh-server)
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${packages[@]}"
}

running() { # $1 site: prints its PID 1. The namespace is compared, because after a reboot the number may be another's
  local pid
  pid=$(cat "$TB/sites/$1/pid" 2>/dev/null) && [ "/proc/$pid/ns/net" -ef "/run/netns/cv-$1" ] && echo "$pid"
}

is_ready() { local pid; pid=$(running "$1") && [ -e "/proc/$pid/root/run/site-ready" ]; }

prepare() { # $1 site: everything that exists before it boots
  local folder=$TB/sites/$1
  mkdir -p "$folder/upper/etc/grid-security" "$folder/work" "$folder/root"
  [ -e "$folder/image" ] || echo "$IMAGE" >"$folder/image"
  [ -d "$(cat "$folder/image")" ] || die "$1 was made with an image that is gone; run: sites.sh down $1"
  give_address "$1"
  host_key "$1"
  [ -e "$folder/upper/etc/slurm/slurm.conf" ] || configure_slurm "$1" "$folder/upper/etc/slurm"
  mkdir -p "$folder/upper/etc/ssh/sshd_config.d"
  [ -e "$folder/upper/etc/ssh/sshd_config.d/local.conf" ] ||
    # All clients come from one address, which sshd would shut out after some wrong codes.
    printf '%s\n' "MaxSessions ${MAXSESSIONS:-10}" "PerSourcePenalties no" >"$folder/upper/etc/ssh/sshd_config.d/local.conf"
  certify "$1"
  install -m 644 "$TB/keys/$1.pem" "$folder/upper/etc/grid-security/hostcert.pem"
  install -m 400 "$TB/keys/$1.key" "$folder/upper/etc/grid-security/hostkey.pem"
}

boot() { # $1 site. pivot_root and not chroot: the kernel refuses user namespaces (apptainer) to chrooted processes
  local folder=$TB/sites/$1 ns=cv-$1 n pid=''
  (read_link "$1" && plug "$1")
  mountpoint -q "$folder/root" ||
    mount -t overlay "cv-$1" -o "lowerdir=$(cat "$folder/image"),upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
  # Descriptor 9 is the lock: a site must not hold it for as long as it lives.
  ip netns exec "$ns" setsid unshare -m -p -u -i --fork --kill-child sh -ec '
    hostname "$1"
    mount --bind "$2/hosts" "$3/etc/hosts"
    mount --bind "$2/known_hosts" "$3/etc/ssh/ssh_known_hosts"
    cd "$3"; mkdir -p .old; pivot_root . .old
    exec /sbin/site-init' sh "$1" "$TB" "$folder/root" </dev/null >"$folder/console" 2>&1 9>&- &
  for n in {1..100}; do
    pid=$(pgrep -P $! 2>/dev/null) && break
    sleep .05
  done
  [ -n "$pid" ] || die "$1 did not start: $(cat "$folder/console")"
  echo "$pid" >"$folder/pid"
}

up() { # all sites boot at the same time
  local site
  [ $# -gt 0 ] || die "say which sites: sites.sh up agh lrz"
  mkdir -p "$TB/sites"
  for site in "$@"; do
    [[ $site =~ ^[a-z][a-z0-9-]{0,9}$ ]] || die "'$site' is no site name: at most ten of a-z, 0-9 and -, a letter first"
    [ -e "$TB/sites/$site/image" ] || build_image # a site keeps the image that it was made with
  done
  bridge_up
  for site in "$@"; do prepare "$site"; done
  write_client_files
  for site in "$@"; do
    running "$site" >/dev/null && continue
    stop "$site" # what a crash left
    boot "$site"
  done
  for site in "$@"; do wait_ready "$site"; done
}

wait_ready() { # $1 site, at most 60 s
  local n
  for ((n = 0; n < 600; n++)); do
    is_ready "$1" && return
    sleep .1
  done
  die "$1 is not ready after 60 s: $(tail -n 5 "$TB/sites/$1/console")"
}

stop() { # $1 site: at once, without a word to it
  local pid folder=$TB/sites/$1
  if pid=$(running "$1"); then
    kill -9 "$pid"
    while [ -d "/proc/$pid" ]; do sleep .05; done
  fi
  unplug "$1"
  ip netns del "cv-$1" 2>/dev/null || true
  umount -l "$folder/root" 2>/dev/null || true
  rm -f "$folder/pid"
}

power_off() { # the cable first: a site without mains sends no goodbye
  ip link set "cv-$1" down 2>/dev/null || true
  stop "$1"
}

down() {
  local site
  for site in "$@"; do
    stop "$site"
    rm -rf --one-file-system "$TB/sites/$site"
  done
  [ ! -d "$TB/sites" ] || write_client_files
  bridge_down
}

inside() { # $1 site, then a command, run as root in it
  local pid
  pid=$(running "$1") || die "$1 is not up"
  shift
  nsenter -t "$pid" -a env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM="${TERM:-xterm}" "$@"
}

kill_sshd() { # $1 site, $2 seconds until it is back, - for never. sshd's helpers have names of their own since 9.8
  inside "$1" pkill -9 '^sshd' || true
  [ "${2:-0}" != - ] || return 0
  sleep "${2:-0}"
  inside "$1" /sbin/site-init svc sshd sshd-otp
}

drop_sessions() { inside "$1" pkill -9 '^sshd-(session|auth)' || true; }

restart_slurmctld() { # $1 site, $2 seconds, $3 signal
  inside "$1" pkill "-$3" -x slurmctld || true
  inside "$1" sh -c 'while pgrep -x slurmctld >/dev/null; do sleep .05; done'
  sleep "${2:-0}"
  inside "$1" /sbin/site-init svc slurmctld
}

new_host_key() {
  inside "$1" sh -ec 'cd /etc/ssh; rm -f ssh_host_ed25519_key*; ssh-keygen -qt ed25519 -N "" -f ssh_host_ed25519_key'
  kill_sshd "$1"
}

state_of() { if is_ready "$1"; then echo up; elif running "$1" >/dev/null; then echo starting; else echo down; fi; }

status() { # $1 --json or nothing
  local site separator=''
  [ "${1:-}" != --json ] || printf '['
  for site in $(sites); do
    RATE='' RTT=0 LOSS=0 CC='' NODES=2 CPUS=4 GPUS=0
    [ ! -e "$TB/sites/$site/link" ] || . "$TB/sites/$site/link"
    [ ! -e "$TB/sites/$site/upper/etc/slurm/site.env" ] || . "$TB/sites/$site/upper/etc/slurm/site.env"
    set -- "${1:-}" "$(cat "$TB/sites/$site/address")" "$(state_of "$site")"
    if [ "$1" = --json ]; then
      printf '%s{"name": "%s", "address": "%s", "state": "%s", "rate": "%s", "rtt_ms": %s, "loss": %s' \
        "$separator" "$site" "$2" "$3" "$RATE" "$RTT" "$LOSS"
      printf ', "nodes": %s, "cpus": %s, "gpus": %s}' "$NODES" "$CPUS" "$GPUS"
      separator=', '
    else
      printf '%-10s %-12s %-8s rate=%s rtt=%s loss=%s\n' "$site" "$2" "$3" "${RATE:-none}" "$RTT" "$LOSS"
    fi
  done
  [ "${1:-}" != --json ] || echo ']'
}

locked() { # verbs that change the set of sites wait for each other
  mkdir -p "$TB"
  exec 9>"$TB/lock"
  flock 9
  "$@"
}

named() { # $1 site must exist
  [ -n "${1:-}" ] || die "say which site"
  [ -d "$TB/sites/$1" ] || die "there is no site '$1' (there are: $(sites | tr '\n' ' '))"
}

each() { # $1 verb, then sites; all of them when none is named
  local verb=$1 site
  shift
  [ $# -gt 0 ] || set -- $(sites)
  for site in "$@"; do
    named "$site"
    $verb "$site"
  done
}

purge() {
  down $(sites)
  rm -rf --one-file-system "$TB"
}

verb=${1:-help}
shift || true
case $verb in
  install) install_tools "$@" ;;
  check) check ;;
  where) echo "$TB" ;;
  up) locked up "$@" ;;
  power-on) named "$@" && locked up "$1" ;;
  stop) locked each stop "$@" ;;
  down) locked each down "$@" ;;
  purge) locked purge ;;
  status) status "$@" ;;
  exec) named "$@" && inside "$@" ;;
  svc) named "$@" && inside "$1" /sbin/site-init "$verb" "${@:2}" ;;
  link) named "$@" && locked relink "$@" ;;
  cut) named "$@" && cut_link "$@" ;;
  mend) named "$@" && mend_link "$1" ;;
  kill-sshd) named "$@" && kill_sshd "$@" ;;
  drop-sessions) named "$@" && drop_sessions "$1" ;;
  restart-slurmctld) named "$@" && restart_slurmctld "$1" "${2:-0}" TERM ;;
  kill-slurmctld) named "$@" && restart_slurmctld "$1" "${2:-0}" KILL ;;
  power-off) named "$@" && locked power_off "$1" ;;
  new-host-key) named "$@" && new_host_key "$1" ;;
  *) sed -n '2,/^set -/p' "$0" | sed '$d; s/^# \{0,1\}//' ;;
esac
