#!/bin/sh
# usage: install.sh DESTDIR PREFIX      from the top of a built checkout
#
# PREFIX/bin/pyrunc and PREFIX/lib/pyrunc, which has everything that it reads besides Python itself.  No file of
# the checkout is used afterwards.  LAUNCHER in the environment asks for a kind (csrc/build_launcher.py).
set -eu

root=$1
prefix=$2
case $prefix in
/*) ;;
*)
    echo "install: PREFIX must be absolute, not '$prefix'" >&2
    exit 1
    ;;
esac
library=$prefix/lib/pyrunc
umask 022

rm -rf "$root$library"
mkdir -p "$root$prefix/bin" "$root$library"
for file in build/lib/_pyrunc_helper*.so build/lib/_pyrunc_json*.so build/lib/_pyrunc_assembler*.so build/lib/_cffi_backend*.so; do
    install -m 644 "$file" "$root$library/"
done
install -m 644 build/lib/_pyrunc_build.py "$root$library/"
install -m 755 build/lib/_pyrunc_stage "$root$library/"
cp -R build/lib/site-packages "$root$library/site-packages"
for package in runtime/pyrunc spec/ocispec; do
    cp -R "$package" "$root$library/"
done
find "$root$library" -name __pycache__ -type d -prune -exec rm -rf {} +
if [ "$(id -u)" = 0 ]; then
    chown -R root:root "$root$library"
fi
chmod -R u=rwX,go=rX "$root$library"
/usr/bin/python3 -m compileall -q -s "$root" "$root$library"
launcher=$root$prefix/bin/pyrunc
/usr/bin/python3 -I csrc/build_launcher.py "$launcher" "$library" ${LAUNCHER:+--kind "$LAUNCHER"}
# A script of a checkout names the checkout's packages as well.
if [ "$(head -c 2 "$launcher")" = "#!" ]; then
    /usr/bin/python3 -I csrc/make_launcher.py "$launcher" "$library"
fi
chmod 755 "$launcher"
# Where the static launcher leaves for (runtime/pyrunc/cli/cold.py).
/usr/bin/python3 -I csrc/make_launcher.py "$root$library/_pyrunc_cold/pyrunc" "$library"
echo "install: $root$prefix/bin/pyrunc"
