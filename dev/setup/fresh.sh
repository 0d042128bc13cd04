#!/bin/sh
# What `make test-fresh` does: this repository's HEAD on a bare Debian, in a folder of its own.
#
#   DEBIAN=trixie   release: bookworm, trixie, sid, ...
#   PYTHON=         a Python of that release to use instead of its python3, such as python3.14
#   JAVA=1          with Java and Maven, so with Apache Kafka instead of the embedded broker
#   WHAT=test       what `make` is told there, such as 'demo SECONDS=10' or 'test ARGS="tests/unit -x"'
#   KEEP=1          leave the folder where it is, to look into it with chroot
#
# Everything runs in namespaces of its own: mounts and processes are gone when it ends, however
# it ends.
set -eu
cd "$(dirname "$0")/../.."
release=${DEBIAN:-trixie}
home=/flash-sale-etl

say() { echo "$@" >&2; }
fail() { say "$@"; exit 1; }

[ "$(id -u)" = 0 ] || fail 'make test-fresh needs root: it makes a Debian to chroot into.'
command -v apt-get >/dev/null || fail 'make test-fresh needs a Debian, whose mirror it uses.'

folder=$PWD/.local/fresh/$release-$$
child=
clean_up() {
    trap - EXIT HUP INT TERM
    if [ -n "$child" ]; then
        # unshare handles no gentler signal; its processes get the same one from the kernel.
        kill -KILL "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    rm -f "$folder.apt" "$folder.log"
    [ -n "${KEEP:-}" ] || rm -rf --one-file-system "$folder"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# In the background, because a shell handles no signal while it waits for a command in front.
# The command dies with this script, and all that it started dies with it. Without env it would
# ignore SIGINT, as commands in the background do.
run() {
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child \
        env --default-signal=INT,QUIT "$@" &
    child=$!
    status=0
    wait "$child" || status=$?
    child=
    return "$status"
}

unshare --mount --pid --fork true 2>/dev/null ||
    fail 'make test-fresh needs the right to mount, which root does not have here.'

mkdir -p "$folder"
if ! command -v mmdebstrap >/dev/null; then
    say 'Installing the Debian package mmdebstrap ...'
    { apt-get update -q && apt-get install -q -y --no-install-recommends mmdebstrap; } \
        >.local/apt.log 2>&1 || fail 'apt-get failed: see .local/apt.log.'
fi

# This machine's own mirror of Debian, and how it is reached.
. dev/setup/debian_mirror.sh
mirror=$(debian_mirror)
if [ -z "$mirror" ]; then
    apt-get update -q >.local/apt.log 2>&1 || fail 'apt-get update failed: see .local/apt.log.'
    mirror=$(debian_mirror)
fi
[ -n "$mirror" ] || fail 'make test-fresh found no mirror of Debian among the sources of apt-get.'
apt-config dump | grep -E '^Acquire::(Check|Retries|ForceIP|ftp|https?::|.*[Pp]roxy)' \
    >"$folder.apt" || true

packages=make,git,ca-certificates
[ -z "${PYTHON:-}" ] || packages=$packages,$PYTHON,$PYTHON-venv
say "Making a bare Debian $release in $folder ..."
run mmdebstrap --quiet --mode=root --variant=apt --include="$packages" --aptopt="$folder.apt" \
    "$release" "$folder" "$mirror" >"$folder.log" 2>&1 ||
    { cat "$folder.log" >&2; fail "Debian $release could not be made."; }

# What lets this machine reach the registries: names, settings, authorities. HOME is /root there.
copy() {
    [ -f "$1" ] || return 0
    to=$folder/root/${1#"$HOME/"}
    [ "$1" != "${1#"$HOME/"}" ] || to=$folder$1
    mkdir -p "$(dirname "$to")"
    cp -L "$1" "$to"
}
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf "$HOME/.pip/pip.conf" \
    "$HOME/.config/pip/pip.conf" "${PIP_CONFIG_FILE:-}" "$HOME/.m2/settings.xml" \
    /usr/local/share/ca-certificates/*.crt \
    "${SSL_CERT_FILE:-}" "${PIP_CERT:-}" "${REQUESTS_CA_BUNDLE:-}"; do
    copy "$file"
done
git clone -q --depth 1 "file://$PWD" "$folder$home"

# An environment as bare as the Debian, but for what concerns the registries.
what=${WHAT:-test}
java=${JAVA:-}
for name in $(env | sed -nE 's/^([A-Za-z]\w*)=.*/\1/p'); do
    case $name in
        PATH | HOME | KEEP | PYTHON | BROKER | CI) ;;
        PIP_* | SSL_CERT_* | REQUESTS_CA_* | *_proxy | *_PROXY) ;;
        *) unset "$name" ;;
    esac
done

inside() {
    # shellcheck disable=SC2016
    run sh -ec '
        folder=$1
        shift
        mount -t proc proc "$folder/proc"
        mount --rbind /dev "$folder/dev"
        export HOME=/root LANG=C.UTF-8
        export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        exec chroot "$folder" "$@"
    ' inside "$folder" "$@"
}

inside update-ca-certificates >/dev/null 2>&1
if [ -n "$java" ]; then
    say 'Installing Debian packages for Java: default-jre-headless maven'
    inside sh -ec '
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q
        apt-get install -q -y --no-install-recommends default-jre-headless maven
    ' >"$folder.log" 2>&1 || { cat "$folder.log" >&2; fail 'Java could not be installed.'; }
fi
say "Running make $what there ..."
# It may hold quotes, as in test ARGS="tests/unit -x".
eval "inside make -C '$home' --no-print-directory $what"
