#!/bin/sh
# Fetches an older Apache Kafka with Maven, for the tests of `make test-all` and for BROKER=NAME:
#
#   dev/setup/fetch_kafka.sh apache-3.9 | apache-2.8
#
# Into .local/kafka-3.9/libs and so on. Nothing where it is there already; where it cannot be had, a
# log beside that folder says why and the exit status is 1.
set -eu
cd "$(dirname "$0")/../.."

case $1 in
    apache-3.9) version=3.9.1 ;;
    apache-2.8) version=2.8.2 ;;
    *) echo "There is no broker $1 to fetch." >&2; exit 1 ;;
esac
home=$PWD/.local/kafka-${1#apache-}
[ ! -e "$home/libs" ] || exit 0
rm -rf "$home"
mkdir -p "$home"
fetch() {
    command -v mvn >/dev/null || { echo 'There is no Maven on this machine.'; return 1; }
    mvn -q -B -f dev/setup/old-kafka-pom.xml -Dkafka="$version" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$home/new"
}
echo "Fetching Apache Kafka $version with Maven ..." >&2
if fetch >"$home.log" 2>&1; then
    mv "$home/new" "$home/libs"
    rm -f "$home.log"
else
    rm -rf "$home"
    exit 1
fi
