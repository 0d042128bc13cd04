#!/bin/sh
# What `make setup` does: nothing where it has been done. Progress goes to stderr, because the
# first lines of `make test` belong to the broker and the database it uses.
#
#   setup.sh          all that demo, tests and benchmarks need
#   setup.sh demo     what the demo needs: MariaDB, and packages without those of tests
#   setup.sh python   what the tests need that start no server
set -eu
cd "$(dirname "$0")/../.."
what=${1:-all}
done=.local/done
mkdir -p "$done" .local/tmp

say() { echo "$@" >&2; }
fail() { say "$@"; exit 1; }

# Packages of Debian and its kin: as root or with sudo, said before it happens.
install() {
    for_what=$1; otherwise=$2; shift 2
    command -v apt-get >/dev/null || fail "$for_what is missing: $otherwise"
    sudo=
    if [ "$(id -u)" != 0 ]; then
        sudo='sudo -n'
        $sudo true 2>/dev/null || fail "$for_what is missing: $otherwise"
    fi
    say "Installing Debian packages for $for_what: $*"
    export DEBIAN_FRONTEND=noninteractive
    { ${updated:-$sudo apt-get update -q} && $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "$@"; } >.local/apt.log 2>&1 ||
        fail "apt-get failed (see .local/apt.log): $otherwise"
    updated=true
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if is_new_enough "$python"; then echo "$python"; return; fi
    done
}

make_venv() {
    otherwise='install Python 3.11 or newer with its venv module, or set PYTHON=/path/to/python3.'
    python=$(find_python)
    if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON will not do: $otherwise"
        install Python "$otherwise" python3 python3-venv
        python=$(find_python)
        [ -n "$python" ] || fail "Python is too old: $otherwise"
    fi
    say "Making .venv with $("$python" --version) ..."
    "$python" -m venv --clear .venv
    rm -f "$done/packages-demo" "$done/packages-dev"
}

# The packages of requirements-$1.txt; those of dev are all others too.
packages() {
    wanted=$(cat requirements*.txt | cksum)
    for have in "$1" dev; do
        [ "$(cat "$done/packages-$have" 2>/dev/null)" != "$wanted" ] || return 0
    done
    say 'Installing the Python packages ...'
    # Its warnings would drown these lines, and most mean nothing in a .venv.
    if ! .venv/bin/python -m pip install --disable-pip-version-check --no-input \
        --root-user-action=ignore -r "requirements-$1.txt" >.local/pip.log 2>&1; then
        cat .local/pip.log >&2
        fail 'pip could not install the Python packages.'
    fi
    echo "$wanted" >"$done/packages-$1"
}

# The server's packages without a service: nothing is started on this machine.
mariadb() {
    if [ -z "${MARIADBD:-}" ] && ! PATH="$PATH:/usr/sbin" command -v mariadbd >/dev/null; then
        install MariaDB 'install the package mariadb-server, or set MARIADBD=/path/to/mariadbd.' \
            mariadb-server-core mariadb-client-core
    fi
}

[ -x .venv/bin/pip ] && [ -x .venv/bin/python ] || make_venv
# `faust -A app` is found from any folder, as after `pip install --no-deps -e .`.
for place in .venv/lib/python3*/site-packages; do
    [ ! -d "$place" ] || [ -e "$place/flash-sale-etl.pth" ] || echo "$PWD" >"$place/flash-sale-etl.pth"
done
if [ "$what" = demo ]; then
    # Side by side: one waits for Debian's mirror, the other for Python's.
    mariadb &
    # Ctrl-C ends the latter; Debian's packages are not left half installed.
    trap 'wait' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    packages demo
    wait $!
    exit
fi
packages dev

# Not a must. What could not be compiled is tried again when a module, Python or the compiler is another.
modules='models/_whole_events.pyx source/records/_scan.pyx'
headers=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null || true)
compiles() { command -v cc >/dev/null && [ -e "$headers/Python.h" ]; }
wanted_module() { { cat $modules .venv/pyvenv.cfg; compiles && echo compiles; } | cksum; }
if [ "$(cat "$done/compiled" 2>/dev/null)" != "$(wanted_module)" ]; then
    otherwise='Python alone makes the rows, more slowly. Install gcc and python3-dev to change that.'
    if compiles || (install 'a C compiler for Python' "$otherwise" gcc libc6-dev "${headers##*/}-dev"); then
        say "Compiling $modules ..."
        .venv/bin/cythonize -q -i $modules >.local/cython.log 2>&1 ||
            say "They could not be compiled (see .local/cython.log): $otherwise"
    fi
    wanted_module >"$done/compiled"
fi

[ "$what" != python ] || exit 0
mariadb

# Not a must: without a browser the live page's tests say that they skip.
if ! command -v chromium >/dev/null && [ ! -e "$done/no-chromium" ]; then
    (install 'a browser' 'the tests of the live page skip (the package is chromium).' \
        chromium) || touch "$done/no-chromium"
fi

# Not a must: the program that tests the alerts, out of its package and without its service.
if ! command -v promtool >/dev/null && [ ! -e "$done/promtool" ] && command -v apt-get >/dev/null; then
    say 'Fetching promtool out of its Debian package ...'
    rm -rf .local/promtool && mkdir -p .local/promtool
    # Debian 13 has a package of that name; before, it came with prometheus.
    (cd .local/promtool && { apt-get download -q promtool || apt-get download -q prometheus; } &&
        dpkg -x prom*.deb . && mv usr/bin/promtool . && rm -rf usr etc lib var prom*.deb) \
        >.local/promtool.log 2>&1 ||
        say 'It could not be fetched (see .local/promtool.log): the tests of the alerts skip.'
    touch "$done/promtool"
fi

# Not a must: without Apache Kafka the embedded broker serves.
wanted=$(cksum <dev/setup/kafka-pom.xml)
if [ "$(cat "$done/kafka" 2>/dev/null)" != "$wanted" ] &&
    command -v java >/dev/null && command -v mvn >/dev/null; then
    say 'Fetching Apache Kafka with Maven ...'
    rm -rf .local/kafka
    if mvn -q -B -f dev/setup/kafka-pom.xml dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$PWD/.local/kafka/new" >.local/maven.log 2>&1; then
        mv .local/kafka/new .local/kafka/libs
        echo "$wanted" >"$done/kafka"
    else
        say 'Maven could not fetch Apache Kafka (see .local/maven.log): the embedded broker serves.'
    fi
fi

# An older one where BROKER names it.
case ${BROKER:-} in
    apache-*) dev/setup/fetch_kafka.sh "$BROKER" || fail "$BROKER could not be fetched: see .local/kafka-${BROKER#apache-}.log." ;;
esac

# Not a must: without MySQL its tests say that they skip; with CI set that fails the run. The servers
# of `make test-servers` come with it: SERVERS='mysql-8.0.31 mariadb-11.8'.
for server in mysql-9.7 ${SERVER:-} ${SERVERS:-}; do
    case $server in mariadb) continue ;; esac
    [ -e ".local/servers/$server/ready" ] || dev/setup/fetch_server.sh "$server" ||
        say "$server could not be fetched (see .local/servers/$server.log): its tests skip."
done
