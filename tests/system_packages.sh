#!/bin/sh
# Installs the real peers that integration tests talk to, where that is allowed; tests without their peer skip and say so.
# Debian's packages go where they belong, all else below .tools/, once.
set -u
cd "$(dirname "$0")/.." || exit 0

# A command that may take long, quietly; what it said is shown where it fails.
install() {
    name=$1
    shift
    echo "Installing $name below .tools/ for tests ..."
    mkdir -p .tools
    if ! timeout 300 "$@" >".tools/$name.log" 2>&1; then
        echo "Could not install $name (see .tools/$name.log); the tests that need it skip."
        return 1
    fi
}

moto() {
    rm -rf .tools/moto
    "${PYTHON:-python3}" -m venv .tools/moto &&
        .tools/moto/bin/python -m pip install --quiet --disable-pip-version-check 'moto[server]==5.2.5'
}

node_programs() {
    npm install --prefix .tools/npm --silent --no-audit --no-fund --ignore-scripts \
        emulate@0.11.2 @stoplight/prism-cli@5.14.2
}

case "${1:-}" in moto | node_programs) "$1"; exit $? ;; esac

if [ ! -x .tools/moto/bin/moto_server ]; then
    { install moto sh tests/system_packages.sh moto || rm -rf .tools/moto; } &
fi
if [ ! -x .tools/npm/node_modules/.bin/emulate ] || [ ! -x .tools/npm/node_modules/.bin/prism ]; then
    if command -v npm >/dev/null 2>&1; then
        install node_programs sh tests/system_packages.sh node_programs
    else
        echo "Not installed (needs npm): emulate, prism; the tests that need them skip."
    fi
fi
wait

missing=""
for pair in prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager git:git kubectl:kubernetes-client /usr/lib/postgresql:postgresql \
    /usr/sbin/nginx:nginx-light redis-server:redis-server; do
    thing=${pair%:*}
    case "$thing" in
        /*) [ -e "$thing" ] || missing="$missing ${pair#*:}" ;;
        *) command -v "$thing" >/dev/null 2>&1 || missing="$missing ${pair#*:}" ;;
    esac
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Not installed (needs root and apt-get):$missing; the tests that need them skip."
    exit 0
fi
echo "Installing$missing from Debian's packages ..."
export DEBIAN_FRONTEND=noninteractive
# the packages would start their servers otherwise
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    echo "Could not install$missing; the tests that need them skip."
exit 0
