#!/bin/sh
# What the tests of the image need, as root on a Debian: Podman, and stand-ins for the two official
# images that the Dockerfile begins with, because no registry may be in reach: .local/image/base.tar and
# build.tar are Debian 12 with its Python 3.11, the latter with pip and a C compiler.
# Nothing where it is there already; where it cannot be had, the last line says why and the status is 1.
set -eu
cd "$(dirname "$0")/../.."
. dev/setup/debian_mirror.sh

fail() { echo "$@" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail 'only root can build an image here'
command -v apt-get >/dev/null || fail 'there is no apt-get, to make a Debian with'
mkdir -p .local/image
log=.local/image/log
if ! { command -v podman && command -v runc && command -v mmdebstrap; } >/dev/null; then
    echo 'Installing the Debian packages podman, runc and mmdebstrap ...' >&2
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends podman runc mmdebstrap; } >$log 2>&1 ||
        fail "apt-get failed: see $log"
fi

mirror=$(debian_mirror)
[ -n "$mirror" ] || fail 'apt-get has no mirror of Debian among its sources'
make() {
    [ ! -e ".local/image/$1" ] || return 0
    echo "Making a bare Debian with $2 ..." >&2
    mmdebstrap --quiet --mode=root --variant=minbase --include="ca-certificates,python-is-python3,$2" \
        bookworm ".local/image/new.tar" "$mirror" >$log 2>&1 || fail "mmdebstrap failed: see $log"
    mv .local/image/new.tar ".local/image/$1"
}
make base.tar python3,python3-distutils
make build.tar python3-venv,python3-pip,python3-dev,gcc,libc6-dev
