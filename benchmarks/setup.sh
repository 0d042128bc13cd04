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

for name in spark connect; do
    pom=benchmarks/peers/$name-pom.xml
    wanted=$(cksum <"$pom")
    if [ "$(cat "$bench/$name.done" 2>/dev/null)" != "$wanted" ] && command -v mvn >/dev/null; then
        echo "Fetching the jars of $pom with Maven ..." >&2
        rm -rf "$bench/$name"
        if mvn -q -B -f "$pom" dependency:copy-dependencies -DincludeScope=runtime \
            -DoutputDirectory="$PWD/$bench/$name.new" >"$bench/$name.log" 2>&1; then
            mv "$bench/$name.new" "$bench/$name"
            echo "$wanted" >"$bench/$name.done"
        fi
    fi
done
