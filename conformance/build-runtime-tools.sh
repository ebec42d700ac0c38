#!/bin/bash
# Build the validation programs of OCI runtime-tools from Debian's packages.
# usage: build-runtime-tools.sh DIRECTORY      (nothing to do when DIRECTORY holds a finished build)
#
# The source is trixie's (bookworm has none), the libraries are this release's -dev packages, unpacked and not
# installed, and tap-go, which Debian lacks, is conformance/tap.  Needs golang-go, apt and a few minutes.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=$(mkdir -p "$1" && cd "$1" && pwd)
source_package=golang-github-opencontainers-runtime-tools
libraries=(
    golang-github-blang-semver-dev golang-github-cpuguy83-go-md2man-v2-dev golang-github-google-uuid-dev
    golang-github-hashicorp-errwrap-dev golang-github-hashicorp-go-multierror-dev
    golang-github-mrunalp-fileutils-dev golang-github-opencontainers-selinux-dev
    golang-github-opencontainers-specs-dev golang-github-russross-blackfriday-v2-dev
    golang-github-shurcool-sanitized-anchor-name-dev golang-github-sirupsen-logrus-dev
    golang-github-urfave-cli-dev golang-github-xeipuuv-gojsonpointer-dev
    golang-github-xeipuuv-gojsonreference-dev golang-github-xeipuuv-gojsonschema-dev
    golang-gocapability-dev golang-golang-x-sys-dev
)
stamp=$(cat "$0" "$here/tap/tap.go" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$work/stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

fetch_source() { # the archive that apt itself is configured with, another release of it, lists of our own
    local site key=/usr/share/keyrings/debian-archive-keyring.gpg
    site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Component: main' |
        grep '/debian/*$' | sort -u | sed -n 1p)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    echo "deb-src [signed-by=$key] $site trixie main" >"$work/sources.list"
    local apt=(-o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root -qq)
    apt-get "${apt[@]}" update
    # A mirror without the .dsc still hands out the tarballs; the signed index has their sums.
    apt-get "${apt[@]}" source --download-only --only-source "$source_package" || true
    apt-cache "${apt[@]}" showsrc "$source_package" |
        awk '/^Checksums-Sha256/ { on = 1; next } /^[^ ]/ { on = 0 } on { print $1 "  " $3 }' |
        grep 'tar\.xz$' | sha256sum --check --quiet -
}

rm -rf "$work"/*
mkdir -p "$work/downloads" "$work/go/src/github.com/mndrix/tap-go" "$work/go/src/github.com/opencontainers"
cd "$work/downloads"
fetch_source
apt-get -o APT::Sandbox::User=root -qq download "${libraries[@]}"
for package in *.deb; do
    dpkg-deb -x "$package" "$work/libraries"
done
cp -a "$work/libraries/usr/share/gocode/src/." "$work/go/src/"
cp "$here/tap/tap.go" "$work/go/src/github.com/mndrix/tap-go/"

tree=$work/go/src/github.com/opencontainers/runtime-tools
mkdir -p "$tree"
tar -xf "$source_package"_*.orig.tar.xz -C "$tree" --strip-components=1
export GO111MODULE=off GOPATH="$work/go" GOCACHE="$work/go-cache" GOFLAGS='' CGO_ENABLED=0
make -C "$tree" --no-print-directory tool runtimetest BUILDTAGS= COMMIT=debian
make -C "$tree" --no-print-directory -j2 validation-executables COMMIT=debian
ln -sfn "$tree" "$work/tree"
rm -rf "$work/downloads" "$work/libraries" "$work/lists" "$work/cache" "$work/go-cache"
echo "$stamp" >"$work/stamp"
