# Links: one bridge, one cable a site, each with a rate, a delay and a loss. Sourced by sites.sh.
#
# The kernel's netem is missing on many small machines, so delay and loss come from wan.py (two TAPs and a queue).
# A link without delay and loss is a plain veth pair. $TB/sites/NAME/link holds RATE, RTT, LOSS and CC.

bridge_up() {
  ip link show "$BRIDGE" >/dev/null 2>&1 && return
  ip link add "$BRIDGE" type bridge
  ip addr add "$NET.1/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  # Where bridge-nf-call-iptables is set (docker does), bridged frames pass the FORWARD chain too.
  iptables -I FORWARD -i "$BRIDGE" -o "$BRIDGE" -j ACCEPT 2>/dev/null || true
}

bridge_down() { # when the last site is gone
  [ -z "$(ls "/sys/class/net/$BRIDGE/brif" 2>/dev/null)" ] || return 0
  ip link del "$BRIDGE" 2>/dev/null || true
  iptables -D FORWARD -i "$BRIDGE" -o "$BRIDGE" -j ACCEPT 2>/dev/null || true
}

give_address() { # $1 site: the first free one, kept until `down`
  local host file=$TB/sites/$1/address
  [ -e "$file" ] && return
  for ((host = 11; host < 250; host++)); do
    grep -qsx "$NET.$host" "$TB"/sites/*/address || break
  done
  echo "$NET.$host" >"$file"
}

read_link() { # $1 site: sets RATE RTT LOSS CC; what the environment says wins and is remembered
  local file=$TB/sites/$1/link rate=${RATE-} rtt=${RTT-} loss=${LOSS-} cc=${CC-}
  RATE='' RTT=0 LOSS=0 CC=''
  [ ! -e "$file" ] || . "$file"
  RATE=${rate:-$RATE} RTT=${rtt:-$RTT} LOSS=${loss:-$LOSS} CC=${cc:-$CC}
  [ "$RATE" != none ] || RATE=''
  printf 'RATE=%s RTT=%s LOSS=%s CC=%s\n' "$RATE" "$RTT" "$LOSS" "$CC" >"$file"
}

needs_wan() { awk "BEGIN { exit !($RTT > 0 || $LOSS > 0) }"; }

plug() { # $1 site: eth0 in its namespace, the other end on the bridge
  local ns=cv-$1 address n
  address=$(cat "$TB/sites/$1/address")
  ip netns list | grep -qw "$ns" || ip netns add "$ns"
  ip -n "$ns" link set lo up
  if needs_wan; then lay_wan "$1"; else ip link add "$ns" mtu 1500 type veth peer name eth0 netns "$ns"; fi
  ip link set "$ns" master "$BRIDGE" up
  # The same MAC at every start: no peer is left with a stale ARP entry.
  ip -n "$ns" link set eth0 address "$(printf 02:00:%02x:%02x:%02x:%02x ${address//./ })"
  ip -n "$ns" addr add "$address/24" dev eth0
  ip -n "$ns" link set eth0 up
  ip -n "$ns" route add default via "$NET.1"
  shape "$1"
}

lay_wan() { # $1 site. A frame between two sites passes two cables, so each cable holds it for a quarter of the RTT
  local ns=cv-$1 folder=$TB/sites/$1 n
  wan_settings >"$folder/wan.conf"
  setsid nice -n -5 python3 "$HERE/wan.py" "$ns" "$ns" eth0 "$folder/wan.conf" </dev/null >"$folder/wan.log" 2>&1 9>&- &
  echo $! >"$folder/wan.pid"
  for n in {1..100}; do
    ip -n "$ns" link show eth0 >/dev/null 2>&1 && return
    sleep .05
  done
  die "$1: the delay line did not start: $(cat "$folder/wan.log")"
}

wan_settings() { awk "BEGIN { print $RTT / 4, $LOSS }"; }

shape() { # $1 site: rate limits on both ends, and the congestion control of its connections
  local ns=cv-$1
  tc qdisc del dev "$ns" root 2>/dev/null || true
  tc -n "$ns" qdisc del dev eth0 root 2>/dev/null || true
  if [ -n "$RATE" ]; then
    tc qdisc replace dev "$ns" root tbf rate "$RATE" burst 128kb latency 50ms
    tc -n "$ns" qdisc replace dev eth0 root tbf rate "$RATE" burst 128kb latency 50ms
  fi
  [ -z "$CC" ] || choose_congestion_control "$ns"
}

choose_congestion_control() { # $1 namespace. A namespace may only choose what the host allows to everybody
  local tcp=/proc/sys/net/ipv4
  grep -qw "$CC" $tcp/tcp_available_congestion_control || die "this kernel has no '$CC', only: $(cat $tcp/tcp_available_congestion_control)"
  grep -qw "$CC" $tcp/tcp_allowed_congestion_control ||
    echo "$(cat $tcp/tcp_allowed_congestion_control) $CC" >$tcp/tcp_allowed_congestion_control
  ip netns exec "$1" sh -c 'echo "$1" >/proc/sys/net/ipv4/tcp_congestion_control' sh "$CC"
}

unplug() { # $1 site
  local ns=cv-$1 wan
  wan=$(cat "$TB/sites/$1/wan.pid" 2>/dev/null) || true
  # After a reboot the number may be somebody else's.
  if [ -n "$wan" ] && grep -qs wan.py "/proc/$wan/cmdline"; then kill "$wan"; fi
  rm -f "$TB/sites/$1/wan.pid"
  ip link del "$ns" 2>/dev/null || true
}

relink() { # $1 site, then any of rate=200mbit|none rtt=MS loss=P cc=NAME; connections that are open stay open
  local site=$1 pair wan was=wan
  shift
  for pair in "$@"; do
    case $pair in
      rate=*) RATE=${pair#*=} ;; rtt=*) RTT=${pair#*=} ;; loss=*) LOSS=${pair#*=} ;; cc=*) CC=${pair#*=} ;;
      *) die "unknown link setting '$pair'; use rate= rtt= loss= cc=" ;;
    esac
  done
  [ -e "$TB/sites/$site/wan.pid" ] || was=veth
  read_link "$site"
  running "$site" >/dev/null || return 0
  if [ $was = wan ]; then
    wan_settings >"$TB/sites/$site/wan.conf"
    kill -HUP "$(cat "$TB/sites/$site/wan.pid")"
    shape "$site"
  elif needs_wan; then
    unplug "$site"
    plug "$site"
  else
    shape "$site"
  fi
}

cut_link() { # $1 site, $2 seconds; without seconds until `mend`. Nothing is told to either side: packets just vanish
  ip link set "cv-$1" down
  [ -n "${2:-}" ] || return 0
  sleep "$2"
  mend_link "$1"
}

mend_link() { ip link set "cv-$1" up; }
