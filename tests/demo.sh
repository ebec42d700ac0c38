#!/bin/bash
# A container from create to delete, each command printed before what it says.
# usage: demo.sh RUNTIME      with busybox-static installed; takes a few seconds
# As root it shows a container with everything; as an ordinary user one in a user namespace of its own.
set -euo pipefail

runtime=$(realpath "$1")
name=demo-$$
work=$(mktemp -d "${TMPDIR:-/tmp}/pyrunc-demo.XXXXXX")
chmod 755 "$work"

clean_up() {
    "$runtime" delete --force "$name" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT
state=/run/pyrunc
rootless=
if [ "$(id -u)" != 0 ]; then
    rootless=--rootless
    export XDG_RUNTIME_DIR=$work
    state=$work/pyrunc
    if ! reason=$(unshare --user true 2>&1); then
        # user_namespaces(7), and what Debian and Ubuntu added: who may make them
        for setting in user/max_user_namespaces kernel/unprivileged_userns_clone \
            kernel/apparmor_restrict_unprivileged_userns; do
            if [ -e /proc/sys/$setting ]; then reason+=", $setting is $(cat /proc/sys/$setting)"; fi
        done
        echo "demo: this machine lets only root make user namespaces ($reason): sudo make demo" >&2
        exit 1
    fi
fi

show() { # COMMAND...: print it as one would type it, then run it
    printf '\n\033[1m# %s\033[0m\n' "${*/#"$runtime"/pyrunc}"
    "$@"
}

status() { "$runtime" state "$name" | sed -n 's/.*"status": "\([a-z]*\)".*/\1/p'; }

wait_until() { # STATUS: at most five seconds
    for _ in $(seq 100); do
        if [ "$(status)" = "$1" ]; then
            return
        fi
        sleep 0.05
    done
    echo "demo: $name is $(status), not $1" >&2
    exit 1
}

# -- a bundle: a rootfs of one static binary, and the default config.json with another command -------------------
mkdir -p "$work/rootfs/bin" "$work/rootfs/proc" "$work/rootfs/dev" "$work/rootfs/sys" "$work/rootfs/tmp"
cp /bin/busybox "$work/rootfs/bin/busybox"
for applet in sh hostname cat sleep echo id ps; do
    ln -s busybox "$work/rootfs/bin/$applet"
done

write_config() { # SCRIPT: config.json for `sh -c SCRIPT`
    rm -f "$work/config.json"
    "$runtime" spec $rootless --bundle "$work"
    /usr/bin/python3 -I - "$work/config.json" "$1" <<'PYTHON'
import json
import sys

path, script = sys.argv[1:]
with open(path) as file:
    config = json.load(file)
config["hostname"] = "in-the-container"
config["process"]["terminal"] = False
config["process"]["args"] = ["sh", "-c", script]
with open(path, "w") as file:
    json.dump(config, file, indent=2)
PYTHON
}

write_config 'echo "I am $(hostname), process $$, and these are my mounts:"; cat /proc/mounts; exec sleep 600'
cd "$work"
show ls -R .
show "$runtime" create --bundle "$work" "$name"
show "$runtime" state "$name"
show "$runtime" start "$name"
sleep 0.3 # for what the container prints
show "$runtime" list
show "$runtime" kill "$name" KILL
wait_until stopped
show "$runtime" state "$name"
show "$runtime" delete "$name"

write_config 'echo "Hello from $(hostname): $(id)"; ps; exit 7'
code=0
show "$runtime" run --bundle "$work" "$name" || code=$?
echo "exit status $code"
test "$code" = 7
test ! -e "$state/$name"
printf '\ndemo: create, state, start, kill, delete and run all did what they should\n'
