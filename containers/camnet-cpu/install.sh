#!/bin/sh
# Makes the image's programs; run inside it by every recipe. Exactly what requirements.lock names is installed.
set -eu
here=$(dirname "$0")
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

apt-get update -q
apt-get install -y -q --no-install-recommends ca-certificates python3 python3-venv
python3 -m venv /opt/venv
/opt/venv/bin/pip install --no-deps --require-hashes --only-binary :all: -r "$here/requirements.lock"

apt-get clean
rm -rf /var/lib/apt/lists/*
# A platform may bind the clock of its host to this file, which therefore has to be one.
[ -e /etc/localtime ] || { rm -f /etc/localtime && : >/etc/localtime; }
/opt/venv/bin/python -c 'import h5py, matplotlib, openslide, pydicom, scipy, tifffile'
