#!/bin/sh
# Installs Debian packages, as root, without starting the services that come with them: policy-rc.d forbids it for the
# time of the install, and what was there before is put back, also when the install fails or is interrupted. A run that
# was killed too hard for that leaves its backup and its mark, and the next run puts it right.
set -eu

policy=/usr/sbin/policy-rc.d
backup=$policy.before-tests
mark='# Forbids starting services while packages for tests are installed.'

restore() {
  if [ -e "$backup" ] || [ -L "$backup" ]; then
    mv -f "$backup" "$policy"
  elif [ -f "$policy" ] && grep -qxF "$mark" "$policy"; then
    rm -f "$policy"
  fi
}

# Two runs at once would take each other's policy for the one to put back.
exec 9>/run/lock/install-for-tests
flock 9

restore
trap restore EXIT
trap 'exit 130' INT TERM HUP
if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$backup"; fi
printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update
apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@"
