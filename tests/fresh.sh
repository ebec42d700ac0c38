#!/bin/bash
# The README's commands on a machine that has none of it: a new Debian 12 root, a clone of HEAD, plain root, no sudo.
# usage: fresh.sh [DIRECTORY] [TARGET ...]      DIRECTORY is made and kept; targets: demo demo test, by default demo demo
#
# The new root lives in its own mount and pid namespaces, entered with pivot_root(2), not chroot(2): a chrooted process
# may neither pivot again nor make user namespaces, and a container needs both.  Archive, name resolution, certificates
# and pip's settings are this machine's.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
root=${1:-$(mktemp -d "${TMPDIR:-/tmp}/pyrunc-fresh.XXXXXX")}
shift || true
targets=("${@:-}")
[ -n "${targets[0]}" ] || targets=(demo demo)
release=bookworm

if [ ! -e "$root/etc/debian_version" ]; then
    site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Component: main' "Release: $release" | sed -n 1p)
    echo "fresh: debootstrap $release into $root"
    mkdir -p "$root"
    debootstrap --variant=minbase --include=make,ca-certificates "$release" "$root" "$site" >"$root.log" 2>&1 ||
        { tail -n 20 "$root.log" >&2; exit 1; }
    rm -f "$root.log" "$root/etc/apt/sources.list"
    cp /etc/apt/sources.list.d/debian.sources "$root/etc/apt/sources.list.d/" 2>/dev/null ||
        cp /etc/apt/sources.list "$root/etc/apt/"
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        if [ -e "$file" ]; then
            cp -L "$file" "$root$file"
        fi
    done
fi
rm -rf "$root/src"
git clone -q "$top" "$root/src"

pip_settings=()
while IFS= read -r setting; do
    pip_settings+=("$setting")
done < <(env | grep '^PIP_' || true)

inside='
set -eu
root=$1
shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
cd "$root"
pivot_root . .
umount -l .
cd /src
for target in "$@"; do
    start=$(date +%s%N)
    code=0
    make "$target" </dev/null || code=$?
    echo "fresh: make $target: exit code $code after $((($(date +%s%N) - start) / 1000000)) ms"
    [ "$code" = 0 ] || exit "$code"
done
'
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "${pip_settings[@]}" \
    unshare --mount --pid --fork --kill-child --propagation private sh -c "$inside" sh "$root" "${targets[@]}"
