# The read-only Debian root that all sites share. Sourced by sites.sh.
#
# It is named after the recipe's own hash: a changed recipe makes a new image beside the old one, because changing
# the lower layer under a mounted overlay is undefined.

PACKAGES=ca-certificates,openssh-server,openssh-client,rsync,iproute2,iputils-ping,procps,python3
PACKAGES+=,munge,slurmctld,slurmd,slurm-client,slurm-wlm-basic-plugins,slurmdbd,slurm-wlm-mysql-plugin,mariadb-server
PACKAGES+=,globus-gridftp-server-progs,globus-gass-copy-progs,globus-proxy-utils,openssl
PACKAGES+=,apptainer,squashfuse,fuse-overlayfs,fuse2fs,e2fsprogs,fakeroot,uidmap
PACKAGES+=,openjdk-21-jre-headless,iperf3,busybox-static,tini,bzip2,zstd

IMAGE=$TB/image-$(cat "$HERE/image.sh" "$HERE/site-init" | sha256sum | cut -c1-10)

# The Debian mirror that this machine itself uses; CONVOY_TESTBED_MIRROR overrides it (needed where the host is no Debian).
mirror() {
  local found=${CONVOY_TESTBED_MIRROR:-}
  [ -n "$found" ] || found=$(apt-get indextargets --format '$(ORIGIN)/$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "Debian/Debian" { print $2; exit }')
  [ -n "$found" ] || die "no Debian mirror in apt's sources (run apt-get update), and CONVOY_TESTBED_MIRROR is not set"
  echo "$found"
}

build_image() {
  [ -e "$IMAGE/.ready" ] && return
  command -v mmdebstrap >/dev/null || die "mmdebstrap is not installed; run: $HERE/sites.sh install"
  echo "building the sites' Debian image (about a minute, once): $IMAGE" >&2
  rm -rf --one-file-system "$IMAGE"
  bootstrap "$IMAGE"
  settle "$IMAGE"
  make_keys
  admit_users "$IMAGE"
  touch "$IMAGE/.ready"
}

bootstrap() { # $1 the new root
  local url proxy=()
  url=$(mirror)
  eval "$(apt-config shell HTTP_PROXY_SET Acquire::http::Proxy)"
  [ -z "${HTTP_PROXY_SET:-}" ] || proxy=(--aptopt="Acquire::http::Proxy \"$HTTP_PROXY_SET\"")
  # Apptainer is in no stable release: it alone comes from unstable, whose Release files expire within days.
  # openjdk's postinst fails when man1 itself is missing, hence man/*/* and not man/*.
  mmdebstrap -q --mode=root --variant=apt --include=$PACKAGES "${proxy[@]}" \
    --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --setup-hook='printf "Package: *\nPin: release n=sid\nPin-Priority: 100\n\nPackage: apptainer\nPin: release n=sid\nPin-Priority: 600\n" >"$1"/etc/apt/preferences.d/sid' \
    --essential-hook='printf "#!/bin/sh\nexit 101\n" >"$1"/usr/sbin/policy-rc.d; chmod +x "$1"/usr/sbin/policy-rc.d' \
    --essential-hook='mkdir -p "$1"/etc/mysql/mariadb.conf.d; printf "[mysqld]\ninnodb_log_file_size=4M\ninnodb_buffer_pool_size=64M\nperformance_schema=off\nskip-networking\n" >"$1"/etc/mysql/mariadb.conf.d/99-small.cnf' \
    trixie "$1" "deb $url trixie main" "deb [check-valid-until=no] $url sid main" >&2
}

settle() { # $1 the root: everything that is the same at every site
  install -m 755 "$HERE/site-init" "$1/sbin/site-init"
  cp -L --remove-destination /usr/share/zoneinfo/UTC "$1/etc/localtime" # a dangling one stops apptainer
  chroot "$1" sh -ec '
    sed -i "s/^hosts:.*/hosts: files/" /etc/nsswitch.conf # else each daemon waits 10 s for a name server at its start
    rm -f /etc/ssh/ssh_host_* /etc/munge/munge.key
    globus-gridftp-server-enable-sshftp -f
    mkdir -p /etc/grid-security/certificates
    # Root without CAP_SYS_RESOURCE (containers, small VMs) cannot give apptainer its default capabilities.
    sed -i "s/^root default capabilities.*/root default capabilities = no/" /etc/apptainer/apptainer.conf
    echo root:1000000:65536 | tee -a /etc/subuid >>/etc/subgid
    touch /etc/ssh/ssh_known_hosts'
  cat >"$1/etc/ssh/sshd_config.d/site.conf" <<'CONF'
PasswordAuthentication no
UsePAM no
UseDNS no
MaxStartups 200:30:400
TrustedUserCAKeys /etc/ssh/user_ca.pub
CONF
  cat >"$1/etc/ssh/sshd_otp.conf" <<'CONF'
# A second door with a one-time code, as many centres have: key first, then the code 271828 (see otp-check).
Port 2222
PerSourcePenalties no
PidFile /run/sshd-otp.pid
UsePAM yes
PAMServiceName sshd-otp
UseDNS no
KbdInteractiveAuthentication yes
AuthenticationMethods publickey,keyboard-interactive
Subsystem sftp /usr/lib/openssh/sftp-server
CONF
  # pam_permit answers setcred, which pam_exec leaves unanswered: sshd takes that for a refusal.
  printf '%s\n' 'auth requisite pam_exec.so quiet expose_authtok /usr/local/sbin/otp-check' 'auth required pam_permit.so' \
    'account required pam_permit.so' 'session required pam_permit.so' >"$1/etc/pam.d/sshd-otp"
  printf '#!/bin/sh\n[ "$(tr -d "\\000")" = 271828 ]\n' >"$1/usr/local/sbin/otp-check"
  chmod 755 "$1/usr/local/sbin/otp-check"
}

admit_users() { # $1 the root: alice (2001) runs the tests, bob (2002) is the stranger whose jobs she must not see
  local uid=2001 user home
  for user in alice bob; do
    home=$1/home/$user
    chroot "$1" useradd -m -u $uid -s /bin/bash $user
    chroot "$1" usermod -p '*' $user # sshd without PAM refuses a locked account
    install -d -m 700 -o $uid -g $uid "$home/.ssh" "$home/.globus"
    install -o $uid -g $uid -m 600 "$TB/keys/$user" "$home/.ssh/id_ed25519"
    install -o $uid -g $uid -m 600 "$TB/keys/$user.pub" "$home/.ssh/authorized_keys"
    certify $user
    install -o $uid -g $uid -m 644 "$TB/keys/$user.pem" "$home/.globus/usercert.pem"
    install -o $uid -g $uid -m 400 "$TB/keys/$user.key" "$home/.globus/userkey.pem"
    echo "\"/O=testbed/CN=$user\" $user" >>"$1/etc/grid-security/grid-mapfile"
    uid=$((uid + 1))
  done
  install -m 644 "$TB/keys/user_ca.pub" "$1/etc/ssh/user_ca.pub"
  cp "$TB"/keys/*.0 "$TB"/keys/*.signing_policy "$1/etc/grid-security/certificates/"
}
