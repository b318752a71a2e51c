#!/bin/sh
# Installs the real peers that integration tests talk to, where that is allowed; tests without their peer skip and say so.
set -u
missing=""
for pair in prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager git:git /usr/lib/postgresql:postgresql \
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
