#!/bin/sh
# Installs those of the Debian packages named that are missing; services that they bring are not started.
set -eu
missing=
for package; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ "$missing" ] || exit 0
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
for command in apt-get $as_root; do
    if ! command -v "$command" >/dev/null; then
        echo "make test-cluster needs$missing, and there is no $command to install them with: install them first." >&2
        exit 2
    fi
done
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '$as_root rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod +x $policy
fi
$as_root apt-get --quiet update
$as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --no-install-recommends install $missing
