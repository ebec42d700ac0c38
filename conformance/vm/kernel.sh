#!/bin/sh
# kernel.sh DIRECTORY   the distribution's kernel, and the modules for shares and a disk, for the guests under qemu.
# Downloaded by name through apt, unpacked, not installed: nothing on this machine is to boot it.
set -eu
mkdir -p "$1"
directory=$(realpath "$1")
if [ -e "$directory/vmlinux" ] && grep -qx loop.ko "$directory/modules/order"; then exit 0; fi
package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: *\(linux-image-[0-9]\)/\1/p' | head -n 1)
echo "vm: apt-get download $package"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$package" && dpkg-deb -x ./*.deb root)
modules=$(echo "$work"/root/lib/modules/*)
version=$(basename "$modules")
depmod -b "$work/root" "$version"

rm -rf "$directory/modules"
mkdir -p "$directory/modules"
: >"$directory/modules/order"
add() {
  name=$(basename "${1%.ko*}").ko
  if grep -qx "$name" "$directory/modules/order"; then return; fi
  case $1 in
    *.xz) xz -dc "$modules/$1" >"$directory/modules/$name" ;;
    *.zst) zstd -dcq "$modules/$1" >"$directory/modules/$name" ;;
    *) cp "$modules/$1" "$directory/modules/$name" ;;
  esac
  echo "$name" >>"$directory/modules/order"
}
for wanted in virtio_pci virtio_console overlay 9pnet_virtio 9p loop; do  # loop: a disk to limit
  line=$(grep -E "/$wanted\.ko[a-z.]*:" "$modules/modules.dep" || true)
  [ -n "$line" ] || continue  # built in
  for needed in $(echo "${line#*:}" | tr ' ' '\n' | tac); do add "$needed"; done
  add "${line%%:*}"
done

# Without KVM the decompressor inside bzImage costs a second: qemu starts the ELF file directly (PVH).
/usr/bin/python3 - "$work"/root/boot/vmlinuz-* "$directory/vmlinux" <<'EOF'
import lzma, struct, subprocess, sys, zlib
image = open(sys.argv[1], "rb").read()
start = (image[0x1F1] + 1) * 512  # Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length
offset, length = struct.unpack_from("<II", image, 0x248)
payload = image[start + offset : start + offset + length]
if payload[:6] == b"\xfd7zXZ\0":
    kernel = lzma.LZMADecompressor().decompress(payload)
elif payload[:2] == b"\x1f\x8b":
    kernel = zlib.decompressobj(31).decompress(payload)
else:
    kernel = subprocess.run(["zstd", "-dcq"], input=payload, stdout=subprocess.PIPE).stdout
assert kernel[:4] == b"\x7fELF"
open(sys.argv[2], "wb").write(kernel)
EOF
