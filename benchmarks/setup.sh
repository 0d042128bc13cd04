#!/bin/sh
# What `make bench` sets up besides `make setup`: the peers, and nothing where that has been done.
# What cannot be had is said in the table, not here: a missing peer stops nobody.
set -eu
cd "$(dirname "$0")/.."
bench=.local/bench
mkdir -p "$bench"

wanted=$(cksum <benchmarks/requirements.txt)
if [ "$(cat "$bench/venv.done" 2>/dev/null)" != "$wanted" ]; then
    echo "Installing the peers' Python packages into $bench/venv ..." >&2
    .venv/bin/python -m venv --clear "$bench/venv"
    pip() { "$bench/venv/bin/python" -m pip -q --disable-pip-version-check "$@" >>"$bench/pip.log" 2>&1; }
    : >"$bench/pip.log"
    if ! pip install -r benchmarks/requirements.txt; then
        grep -v '^#' benchmarks/requirements.txt | while read -r line; do pip install "$line" || true; done
    fi
    echo "$wanted" >"$bench/venv.done"
fi

# fetch NAME: the jars of peers/NAME-pom.xml.
fetch() {
    mvn -q -B -f "benchmarks/peers/$1-pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$PWD/$bench/$1"
}

# The connector comes as an archive; the rules are a class of ours beside it.
complete_connect() {
    mkdir "$bench/connect/plugins" &&
        tar -xzf "$bench/connect"/debezium-*.tar.gz -C "$bench/connect/plugins" &&
        javac -cp "$bench/connect/*" -d "$bench/connect/plugins/transform" benchmarks/peers/Transform.java
}

complete_spark() { :; }

command -v mvn >/dev/null || exit 0
for name in spark connect; do
    wanted=$(cat "benchmarks/peers/$name-pom.xml" benchmarks/peers/Transform.java | cksum)
    if [ "$(cat "$bench/$name.done" 2>/dev/null)" != "$wanted" ]; then
        echo "Fetching the jars of the $name peer with Maven ..." >&2
        rm -rf "${bench:?}/$name"
        if { fetch "$name" && "complete_$name"; } >"$bench/$name.log" 2>&1; then
            echo "$wanted" >"$bench/$name.done"
        else
            rm -rf "${bench:?}/$name"
        fi
    fi
done
