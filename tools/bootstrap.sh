#!/bin/sh
# Makes .venv with the kit and its pinned dependencies; says what to do when a step cannot work here.
# Usage: tools/bootstrap.sh [extra]      (extra: "dev" for the tests)
set -u
cd "$(dirname "$0")/.." || exit 1
extra=${1:-}
venv=.venv

fail() { printf '✗ %s\n' "$1" >&2; shift; for line in "$@"; do printf '  %s\n' "$line" >&2; done; exit 1; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
        if is_new_enough "$candidate"; then printf '%s' "$candidate"; return 0; fi
    done
    return 1
}

[ "$(uname -s)" = Linux ] || printf '• not Linux: the embedded cluster needs Linux or WSL2; a real cluster works everywhere\n'

if [ ! -x "$venv/bin/python" ]; then
    python=$(find_python) || fail "no Python 3.11 or newer on PATH ($(python3 --version 2>&1 || echo 'no python3'))" \
        "install one (Debian, Ubuntu: apt install python3 python3-venv; Fedora: dnf install python3)" \
        "or name it: make PYTHON=/path/to/python3.12 course"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python has no venv module" \
        "Debian, Ubuntu: apt install python3-venv; then run this again"
    printf '• making %s with %s\n' "$venv" "$("$python" --version)"
    "$python" -m venv "$venv" || { rm -rf "$venv"; fail "could not make $venv in $(pwd)" "is the folder writable, and is there space (df -h .)?"; }
fi

target=.; [ -z "$extra" ] || target=".[$extra]"
wanted="$(cat pyproject.toml constraints.txt | cksum) $extra"
stamp="$venv/.installed${extra:+-$extra}"
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    printf '• installing the kit and its dependencies (about a minute)\n'
    log=$venv/install.log
    if ! "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable "$target" >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        fail "pip could not install the dependencies (all of it: $log)" \
            "no network? connect, or set PIP_INDEX_URL to a mirror that you reach; then run this again"
    fi
    printf '%s' "$wanted" >"$stamp"
    printf '✓ installed\n'
fi
