# Keys and certificates of the testbed: made once, never leave $TB. Sourced by sites.sh.

make_keys() { # alice's and bob's SSH keys, an SSH user CA, and an X.509 CA for GridFTP
  local keys=$TB/keys name hash
  [ -e "$keys/ca.pem" ] && return
  mkdir -p "$keys"
  for name in alice bob user_ca; do
    rm -f "$keys/$name" "$keys/$name.pub"
    ssh-keygen -qt ed25519 -N "" -C "$name@testbed" -f "$keys/$name"
  done
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$keys/ca.key" -out "$keys/ca.new" -days 3650 \
    -subj /O=testbed/CN=CA 2>/dev/null
  hash=$(openssl x509 -in "$keys/ca.new" -noout -hash)
  cp "$keys/ca.new" "$keys/$hash.0"
  printf "access_id_CA X509 '/O=testbed/CN=CA'\npos_rights globus CA:sign\ncond_subjects globus '\"/O=testbed/*\"'\n" \
    >"$keys/$hash.signing_policy"
  mv "$keys/ca.new" "$keys/ca.pem"
}

certify() { # $1 common name -> keys/$1.{key,pem}
  local file=$TB/keys/$1
  [ -e "$file.pem" ] && return
  openssl req -newkey rsa:2048 -nodes -keyout "$file.key" -subj "/O=testbed/CN=$1" 2>/dev/null |
    openssl x509 -req -CA "$TB/keys/ca.pem" -CAkey "$TB/keys/ca.key" -CAcreateserial -days 3650 -out "$file.pem" \
      -extfile <(echo "subjectAltName=DNS:$1") 2>/dev/null
}

host_key() { # $1 site: its SSH host key exists before its first boot, so known_hosts never has to be guessed
  local folder=$TB/sites/$1/upper/etc/ssh
  mkdir -p "$folder"
  [ -e "$folder/ssh_host_ed25519_key" ] || ssh-keygen -qt ed25519 -N "" -C "$1" -f "$folder/ssh_host_ed25519_key"
}

write_client_files() { # hosts, known_hosts and ssh_config; rewritten in place, because sites bind-mount the first two
  local site address
  echo "127.0.0.1 localhost" >"$TB/hosts.new"
  : >"$TB/known_hosts.new"
  : >"$TB/ssh_config.new"
  for site in $(sites); do
    address=$(cat "$TB/sites/$site/address")
    echo "$address $site" >>"$TB/hosts.new"
    awk -v names="$site,$address" -v otp="[$site]:2222,[$address]:2222" '{ print names, $1, $2; print otp, $1, $2 }' \
      "$TB/sites/$site/upper/etc/ssh/ssh_host_ed25519_key.pub" >>"$TB/known_hosts.new"
    printf 'Host %s\n  HostName %s\n' "$site" "$address" >>"$TB/ssh_config.new"
  done
  cat >>"$TB/ssh_config.new" <<CONF
Host *
  User alice
  IdentityFile $TB/keys/alice
  IdentitiesOnly yes
  UserKnownHostsFile $TB/known_hosts
  StrictHostKeyChecking yes
CONF
  for site in hosts known_hosts ssh_config; do
    cat "$TB/$site.new" >"$TB/$site"
    rm "$TB/$site.new"
  done
}
