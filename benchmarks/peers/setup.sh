#!/bin/sh
# What `make bench` sets up besides `make setup`: the peers, and nothing where that has been done.
# What cannot be had is said in the table, not here: a missing peer stops nobody.
set -eu
cd "$(dirname "$0")/../.."
bench=.local/bench
peers=benchmarks/peers
java=$peers/java
mkdir -p "$bench"

wanted=$(cksum <$peers/requirements.txt)
if [ "$(cat "$bench/venv.done" 2>/dev/null)" != "$wanted" ]; then
    echo "Installing the peers' Python packages into $bench/venv ..." >&2
    .venv/bin/python -m venv --clear "$bench/venv"
    pip() { "$bench/venv/bin/python" -m pip -q --disable-pip-version-check "$@" >>"$bench/pip.log" 2>&1; }
    : >"$bench/pip.log"
    if ! pip install -r $peers/requirements.txt; then
        grep -v '^#' $peers/requirements.txt | while read -r line; do pip install "$line" || true; done
    fi
    echo "$wanted" >"$bench/venv.done"
fi

# fetch NAME: the jars of java/NAME-pom.xml.
fetch() {
    mvn -q -B -f "$java/$1-pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$PWD/$bench/$1"
}

# compile NAME FOLDER CLASS: a class of ours, against the jars of a peer.
compile() {
    javac -cp "$bench/$1/*" -d "$bench/$1/$2" $java/Rules.java "$java/$3.java"
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
    mkdir "$bench/go" && go build -C $peers/go -o "$PWD/$bench/go/loop"
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

if command -v go >/dev/null; then
    once go "$peers/go/*" make_go
fi
if command -v mvn >/dev/null; then
    once spark "$java/spark-pom.xml" make_with_maven spark
    once connect "$java/connect-pom.xml $java/Rules.java $java/Transform.java" make_with_maven connect
    once flink "$java/flink-pom.xml $java/Rules.java $java/FlinkJob.java" make_with_maven flink
    once java "$java/java-pom.xml $java/Rules.java $java/JavaLoop.java" make_with_maven java
fi
