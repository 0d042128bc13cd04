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

# compile NAME FOLDER CLASS: a class of ours, against the jars of a peer.
compile() {
    javac -cp "$bench/$1/*" -d "$bench/$1/$2" benchmarks/peers/Rules.java "benchmarks/peers/$3.java"
}

# The connector comes as an archive; the rules are a class of ours beside it.
complete_connect() {
    mkdir "$bench/connect/plugins" &&
        tar -xzf "$bench/connect"/debezium-*.tar.gz -C "$bench/connect/plugins" &&
        compile connect plugins/transform Transform
}

complete_spark() { :; }
complete_flink() { compile flink classes FlinkJob; }
complete_java() { compile java classes JavaLoop; }

# make_go: the Go loop, whose modules are pinned in its go.sum.
make_go() {
    mkdir "$bench/go" && go build -C benchmarks/peers/go_loop -o "$PWD/$bench/go/loop"
}

make_with_maven() { fetch "$1" && "complete_$1"; }

# once NAME SOURCES COMMAND...: make a peer once for these sources, with its output in a log.
# SOURCES are several words, and patterns.
once() {
    name=$1
    wanted=$(cat $2 | cksum)
    shift 2
    if [ "$(cat "$bench/$name.done" 2>/dev/null)" != "$wanted" ]; then
        echo "Making the $name peer ..." >&2
        rm -rf "${bench:?}/$name"
        if "$@" >"$bench/$name.log" 2>&1; then
            echo "$wanted" >"$bench/$name.done"
        else
            rm -rf "${bench:?}/$name"
        fi
    fi
}

peers=benchmarks/peers
if command -v go >/dev/null; then
    once go "$peers/go_loop/*" make_go
fi
if command -v mvn >/dev/null; then
    once spark "$peers/spark-pom.xml" make_with_maven spark
    once connect "$peers/connect-pom.xml $peers/Rules.java $peers/Transform.java" make_with_maven connect
    once flink "$peers/flink-pom.xml $peers/Rules.java $peers/FlinkJob.java" make_with_maven flink
    once java "$peers/java-pom.xml $peers/Rules.java $peers/JavaLoop.java" make_with_maven java
fi
