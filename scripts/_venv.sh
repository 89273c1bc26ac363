# Sourced by the scripts that need .venv: makes it where it is missing or broken, and installs
# mrmodel into it. The caller stands in the repository's root and sets -euo pipefail.
#
#   PYTHON=python3.12 scripts/...      another interpreter (3.10 or newer)
#
# Installs are editable: a checkout is there to be changed, and what runs is the code you see.

name="${0##*/}"
python="${PYTHON:-python3}"
venv=.venv

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$name" "$*" >&2; exit 1; }

check_python() {
    command -v "$python" >/dev/null ||
        die "there is no $python: install Python 3.10 or newer, or name one: PYTHON=/path/to/python scripts/$name"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        die "expected Python 3.10 or newer but $python is $("$python" -V 2>&1): name another one: PYTHON=/path/to/python scripts/$name"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "$python has no venv module: install it (Debian and Ubuntu: apt install python3-venv)"
}

# a venv whose making was interrupted, or whose Python is gone, has no working pip
venv_works() { "$venv/bin/python" -m pip --version >/dev/null 2>&1; }

make_venv() {
    check_python
    say "making $venv with $("$python" -V 2>&1)"
    "$python" -m venv --clear "$venv" || die "$python could not make $venv: see its words above"
}

# what an install depends on; the path is in it because a moved checkout needs a new one
fingerprint() { printf '%s %s\n' "$(cksum <setup.cfg)" "$PWD"; }

# install_mrmodel WHAT: `.` or `.[test]`, unless that is in the venv already
install_mrmodel() {
    local what="$1" stamp="$venv/installed-${1//[^a-z]/_}"
    venv_works || make_venv
    say "using $venv: $("$venv/bin/python" -V)"
    [[ "$(cat "$stamp" 2>/dev/null)" == "$(fingerprint)" ]] && return
    say "installing mrmodel and what it needs (torch is large: minutes on a slow line)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$what" ||
        die "pip could not install mrmodel: see its words above. Without a network, point pip at a mirror (PIP_INDEX_URL) or a folder of wheels (PIP_FIND_LINKS) and run scripts/$name again"
    fingerprint >"$stamp"
}
