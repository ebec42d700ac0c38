#!/bin/sh
# usage: build_stage.sh OUT [CC]        CC: a compiler of either architecture, gcc by default
#
# One read-only, executable segment and nothing else: the stage has no writable or relocated data, so neither page
# alignment between segments nor a dynamic section is needed, and the file stays below 8 KB (checked).
set -eu

out=$1
compiler=${2:-gcc}
here=$(dirname "$0")

# shellcheck disable=SC2086  # lists of flags
warnings="-Wall -Wextra -Werror -Wconversion -Wshadow -Wvla -Wundef"
code="-std=gnu11 -Os -ffreestanding -fno-builtin -fno-stack-protector -fno-asynchronous-unwind-tables -fno-unwind-tables -mgeneral-regs-only"
fixed="-fno-pie -fno-pic -nostdlib -static"
linker="-Wl,-z,noexecstack,-z,noseparate-code,--build-id=none,--fatal-warnings,-s"
case $("$compiler" -dumpmachine) in
x86_64*) code="$code -fcf-protection=none" ;;
esac

# shellcheck disable=SC2086
"$compiler" $warnings $code $fixed $linker -o "$out.new" "$here/stage.c"
size=$(wc -c <"$out.new")
if [ "$size" -ge 8192 ]; then
	echo "build_stage.sh: $out has $size bytes: 8192 are too many" >&2
	exit 1
fi
mv "$out.new" "$out"
