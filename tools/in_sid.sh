#!/bin/sh
# Runs a command in a folder with a Debian system, as `make sid` makes it, with this directory at the same place there:
#   tools/in_sid.sh FOLDER COMMAND...
# Needs root. Its mounts end with it.
set -eu

if [ -z "${IN_SID:-}" ]; then
  IN_SID=1 exec unshare --mount "$0" "$@"
fi
root=$1
shift
mkdir -p "$root$PWD"
mount --bind "$PWD" "$root$PWD"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
for path in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl; do # how this machine gets to its package index
  [ -e "$path" ] || continue
  [ -d "$path" ] || touch "$root$path"
  mount --bind "$path" "$root$path"
done
exec chroot "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$PWD" "$@"
