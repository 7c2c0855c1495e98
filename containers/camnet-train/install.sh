#!/bin/sh
# Makes the image's programs; run inside it by every recipe. Exactly what requirements.lock names is installed.
set -eu
here=$(dirname "$0")
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
export PATH=/opt/venv/bin:$PATH
packages=/opt/venv/lib/python3.11/site-packages

apt-get update -q
apt-get install -y -q --no-install-recommends ca-certificates libstdc++6 python3 python3-venv
before=$(mktemp) after=$(mktemp)
dpkg-query -W -f '${Package}\n' | sort >"$before"
apt-get install -y -q --no-install-recommends g++ make python3-dev
dpkg-query -W -f '${Package}\n' | sort >"$after"
python3 -m venv /opt/venv

# Horovod is compiled against the TensorFlow that is installed, so it comes last and alone.
split='/^[^ #]/ { wanted = /^horovod==/ ? 1 : 0 } wanted == horovod'
awk -v horovod=0 "$split" "$here/requirements.lock" >/tmp/first.lock
awk -v horovod=1 "$split" "$here/requirements.lock" >/tmp/horovod.lock
pip install --no-deps --require-hashes --no-compile --only-binary :all: -r /tmp/first.lock
# Its build asks for symbols of the debugger, which nobody reads and which take a third of the time.
echo 'set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -DNDEBUG" CACHE STRING "" FORCE)' >/tmp/plain.cmake
CMAKE_TOOLCHAIN_FILE=/tmp/plain.cmake MAKEFLAGS=-j$(nproc) HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITH_GLOO=1 \
  HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 \
  pip install --no-deps --require-hashes --no-compile --no-build-isolation -r /tmp/horovod.lock

# What only the compilation needed goes again, and so do half a gigabyte of headers, symbols and tools of developers.
strip $packages/tensorflow/libtensorflow_cc.so.2 $packages/tensorflow/libtensorflow_framework.so.2
pip uninstall -y -q cmake libclang tensorboard-data-server
rm -rf $packages/tensorflow/include
comm -13 "$before" "$after" | xargs apt-get purge -y -q
apt-get clean
rm -rf /var/lib/apt/lists/* /tmp/*.lock /tmp/plain.cmake "$before" "$after"
# An image cannot be written to, so byte code that is not there now would be made anew at every start.
python -m compileall -q -j 0 $packages || true # some packages keep tests of broken syntax
# A platform may bind the clock of its host to this file, which therefore has to be one.
[ -e /etc/localtime ] || { rm -f /etc/localtime && : >/etc/localtime; }
TF_CPP_MIN_LOG_LEVEL=3 python -c 'import h5py, openslide, tifffile, horovod.tensorflow as hvd; assert hvd.gloo_built()'
