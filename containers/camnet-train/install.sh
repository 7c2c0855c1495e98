#!/bin/sh
# Makes the image's programs; run inside it by every recipe. Exactly what requirements.lock names is installed.
set -eu
here=$(dirname "$0")
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
pip="/opt/venv/bin/pip install --no-deps --require-hashes"

apt-get update -q
apt-get install -y -q --no-install-recommends ca-certificates python3 python3-venv
before=$(mktemp) after=$(mktemp)
dpkg-query -W -f '${Package}\n' | sort >"$before"
apt-get install -y -q --no-install-recommends g++ make python3-dev
dpkg-query -W -f '${Package}\n' | sort >"$after"
python3 -m venv /opt/venv

# Horovod is compiled against the TensorFlow that is installed, so it comes last and alone.
split='/^[^ #]/ { wanted = /^horovod==/ ? 1 : 0 } wanted == horovod'
awk -v horovod=0 "$split" "$here/requirements.lock" >/tmp/first.lock
awk -v horovod=1 "$split" "$here/requirements.lock" >/tmp/horovod.lock
$pip --only-binary :all: -r /tmp/first.lock
PATH=/opt/venv/bin:$PATH HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 \
  HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 $pip --no-build-isolation -r /tmp/horovod.lock

# What only the compilation needed goes again.
/opt/venv/bin/pip uninstall -y -q cmake
comm -13 "$before" "$after" | xargs apt-get purge -y -q
apt-get install -y -q --no-install-recommends libstdc++6
apt-get clean
rm -rf /var/lib/apt/lists/* /tmp/*.lock "$before" "$after"
# A platform may bind the clock of its host to this file, which therefore has to be one.
[ -e /etc/localtime ] || { rm -f /etc/localtime && : >/etc/localtime; }
TF_CPP_MIN_LOG_LEVEL=3 /opt/venv/bin/python -c 'import h5py, openslide, tifffile, horovod.tensorflow as hvd; assert hvd.gloo_built()'
