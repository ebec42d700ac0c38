"""Mutants whose operations do something else, forget something, or say that it went well."""

from __future__ import annotations

import glob
import json
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from call import Call


class Command(NamedTuple):
    """What these commands do instead."""

    act: Callable[[Call], int]
    commands: tuple[str, ...]


def always_well(call: Call) -> int:
    """No failure is ever told."""
    call.go()
    return 0


def well_without_id(call: Call) -> int:
    return call.go() if call.words else 0


def silent(call: Call) -> int:
    """An error without a word."""
    return call.quiet()[0]


def chatty_state(call: Call) -> int:
    print("the state is:")
    return call.go()


def stopped_for_unknown(call: Call) -> int:
    status, out, _err = call.quiet()
    if status:
        out = json.dumps({"ociVersion": "1.0.2", "id": call.id, "status": "stopped", "bundle": "/"})
    sys.stdout.write(out)
    return 0


def take_the_id(call: Call) -> int:
    """Whoever had it loses it."""
    if call.id:
        call.other("delete", "--force", call.id)
    return call.go()


def good_id(call: Call) -> int:
    """Make a good one of any."""
    name = "".join(letter if letter.isalnum() or letter == "-" else "_" for letter in call.argv[-1])[-100:]
    return call.go([*call.argv[:-1], f"x{name}"])


def invented_id(call: Call) -> int:
    return call.go() if call.words else call.go([*call.argv, f"invented-{os.getpid()}"])


def no_bundle_is_fine(call: Call) -> int:
    return call.go() if os.path.exists(call.config_path) else 0


def create_and_start(call: Call) -> int:
    return call.go() or call.other("start", call.id)


def start_again(call: Call) -> int:
    """Reads config.json once more."""
    bundle = call.state()["bundle"]
    call.other("delete", "--force", call.id)
    call.go(["--root", call.options["--root"], "create", "--bundle", bundle, call.id])
    return call.go()


def leave_state(call: Call) -> int:
    """A failed create leaves its directory, and a container that nobody made."""
    status = call.go()
    if status and call.id:
        os.makedirs(call.state_directory, exist_ok=True)
    return status


def leave_cgroup(call: Call) -> int:
    """What create made is not all given back."""
    status = call.go()
    if status if call.command == "create" else not status:
        os.makedirs(f"/sys/fs/cgroup/pids/{call.id}", exist_ok=True)
    return status


def leave_failed_container(call: Call) -> int:
    """A failed create leaves a container: the one without the properties that it could not apply."""
    status, _out, err = call.quiet()
    if status and os.path.exists(call.config_path):
        config = call.read_config()
        config["linux"].pop("sysctl", None)
        call.go_with(config)
    sys.stderr.write(err)
    return status


def remove_files(call: Call) -> int:
    """delete takes what the program wrote, too."""
    bundle = call.state()["bundle"]
    for path in glob.glob(f"{bundle}/rootfs/tmp/*"):
        os.unlink(path)
    return call.go()


def force_delete(call: Call) -> int:
    return call.go([*call.argv[:-1], "--force", call.argv[-1]]) if call.words else call.go()


def kill_for_real(call: Call) -> int:
    """Every signal is SIGKILL."""
    return call.go([*call.argv[:-1], "KILL"]) if len(call.words) > 1 else call.go()


def kill_starts(call: Call) -> int:
    """A kill without effect has one: the container is gone."""
    status = call.go()
    if status and call.id:
        call.other("delete", "--force", call.id)
    return status


def ended_by_failed_command(call: Call) -> int:
    """A start or delete that fails ends the process."""
    status = call.go()
    if status and call.id:
        call.other("kill", call.id, "KILL")
        call.other("delete", "--force", call.id)
    return status


def errors_of_hooks_at_delete(call: Call) -> int:
    """A warning becomes an error."""
    status, out, err = call.quiet()
    sys.stdout.write(out)
    sys.stderr.write(err)
    return status or (1 if err else 0)


def more_descriptors(call: Call) -> int:
    os.dup2(os.open("/", os.O_RDONLY), 3, inheritable=True)
    position = call.argv.index("create") + 1
    return call.go([*call.argv[:position], "--preserve-fds", "1", *call.argv[position:]])


def remove_inside(*names: str) -> Callable[[Call], int]:
    """Something of the container's /dev is not there."""

    def act(call: Call) -> int:
        status = call.go()
        if status == 0:
            for name in names:
                os.unlink(f"/proc/{call.state()['pid']}/root/dev/{name}")
        return status

    return act


def remove_file_under_device(call: Call) -> int:
    """What is in the way of a device goes."""
    for device in call.read_config()["linux"].get("devices", []):
        path = f"{call.bundle}/rootfs{device.get('path', '')}"
        if os.path.isfile(path):
            os.unlink(path)
    return call.go()


def make_missing_root(call: Call) -> int:
    path = os.path.join(call.bundle, call.read_config().get("root", {}).get("path") or "rootfs")
    if not os.path.isdir(path) and path.startswith(call.bundle):
        if os.path.exists(path):
            return 0
        import shutil

        shutil.copytree(f"{call.bundle}/rootfs", path, symlinks=True)
    return call.go()


def chown_root(call: Call) -> int:
    """Realise an id mapping by changing files."""
    config = call.read_config()
    for row in config["linux"].get("uidMappings", []):
        os.chown(f"{call.bundle}/rootfs", row["hostID"], row["hostID"])
    return call.go()


def chown_cgroup(call: Call) -> int:
    status = call.go()
    for path in glob.glob(f"/sys/fs/cgroup/*/{call.id}"):
        os.chown(path, 100000, 100000)
    return status


def refuse(condition: Callable[[dict[str, object]], bool]) -> Callable[[Call], int]:
    """A config that is fine is not taken."""

    def act(call: Call) -> int:
        try:
            refused = condition(call.read_config())
        except (OSError, ValueError):
            return call.go()
        if refused:
            print("mutant: no", file=sys.stderr)
            return 1
        return call.go()

    return act


def has_unknown_property(config: dict[str, object]) -> bool:
    return "unknownProperty" in json.dumps(config)


def has_unknown_capability(config: dict[str, object]) -> bool:
    return any(name in json.dumps(config) for name in ("CAP_NOBODY_KNOWS", "CAP_SYS_TIME"))


def one_version(config: dict[str, object]) -> bool:
    return config.get("ociVersion") != "1.0.2"


def has_console_size(config: dict[str, object]) -> bool:
    return "consoleSize" in json.dumps(config)


def has_foreign_annotation(config: dict[str, object]) -> bool:
    return "org.example.nobody.knows" in json.dumps(config)


def accept_other_names(call: Call) -> int:
    """Any file that begins so is config.json."""
    names = [path for path in glob.glob(f"{call.bundle}/*") if os.path.basename(path).lower().startswith("config")]
    if names and not os.path.exists(call.config_path):
        os.link(names[0], call.config_path)
    return call.go()


def empty_config(call: Call) -> int:
    """Without a config there is a default one."""
    return call.go() if os.path.exists(call.config_path) else 0


def root_of_caller(call: Call) -> int:
    """A relative root is the caller's."""
    config = call.read_config()
    config["root"]["path"] = os.path.abspath(str(config["root"]["path"]))
    return call.go_with(config)


def needs_a_home(call: Call) -> int:
    """Whoever comes from another environment than the creator's cannot do a thing."""
    if "HOME" in os.environ:
        return call.go()
    print("mutant: no HOME", file=sys.stderr)
    return 1


def unknown_command(call: Call) -> int:
    print(f"unknown command {call.command}", file=sys.stderr)
    return 1


def nothing_at_all(call: Call) -> int:
    return 0


def numbers_for_keys(call: Call) -> int:
    """JavaScript would take it."""
    with open(call.config_path) as file:
        text = file.read()
    with open(call.config_path, "w") as file:
        file.write(text.replace("{1:", '{"1":'))
    return call.go()


def no_console(call: Call) -> int:
    status = call.go()
    if status == 0:
        words = ["nsenter", f"--mount=/proc/{call.state()['pid']}/ns/mnt", "umount", "/dev/console"]
        os.waitpid(os.posix_spawnp(words[0], words, os.environ), 0)
    return status


def warn_of_a_used_cgroup(call: Call) -> int:
    """What was found unfit is told, and done all the same."""
    status, _out, err = call.quiet()
    sys.stderr.write(err)
    if status and "not empty" in err:
        config = call.read_config()
        config["linux"]["cgroupsPath"] += "-other"
        return call.go_with(config)
    return status


def relative_cgroup(config: dict[str, object]) -> bool:
    linux = config["linux"]
    return isinstance(linux, dict) and not linux["cgroupsPath"].startswith("/")


def no_update_is_refused(call: Call) -> int:
    return 0


CREATE, START, STATE, KILL, DELETE = ("create",), ("start",), ("state",), ("kill",), ("delete",)
COMMANDS: dict[str, Command] = {
    "create-always-well": Command(always_well, CREATE),
    "start-always-well": Command(always_well, START),
    "kill-always-well": Command(always_well, KILL),
    "delete-always-well": Command(always_well, DELETE),
    "no-id-is-fine": Command(well_without_id, (*CREATE, *START, *STATE, *KILL, *DELETE)),
    "errors-are-silent": Command(silent, (*CREATE, *START)),
    "state-is-chatty": Command(chatty_state, STATE),
    "state-of-anything": Command(stopped_for_unknown, STATE),
    "ids-are-taken-over": Command(take_the_id, CREATE),
    "ids-are-made-good": Command(good_id, CREATE),
    "ids-are-invented": Command(invented_id, CREATE),
    "no-bundle-is-fine": Command(no_bundle_is_fine, CREATE),
    "create-starts": Command(create_and_start, CREATE),
    "start-reads-again": Command(start_again, START),
    "failed-create-leaves-state": Command(leave_state, CREATE),
    "failed-create-leaves-cgroup": Command(leave_cgroup, CREATE),
    "failed-create-leaves-container": Command(leave_failed_container, CREATE),
    "delete-leaves-cgroup": Command(leave_cgroup, DELETE),
    "delete-takes-files": Command(remove_files, DELETE),
    "delete-is-forced": Command(force_delete, DELETE),
    "every-signal-is-kill": Command(kill_for_real, KILL),
    "failed-kill-has-effect": Command(kill_starts, KILL),
    "failed-start-has-effect": Command(ended_by_failed_command, START),
    "failed-delete-has-effect": Command(ended_by_failed_command, DELETE),
    "poststop-warning-is-error": Command(errors_of_hooks_at_delete, DELETE),
    "leaks-a-descriptor": Command(more_descriptors, CREATE),
    "no-dev-links": Command(remove_inside("fd", "stdin", "stdout", "stderr"), CREATE),
    "no-dev-full": Command(remove_inside("full"), CREATE),
    "no-ptmx": Command(remove_inside("ptmx"), CREATE),
    "device-replaces-file": Command(remove_file_under_device, CREATE),
    "makes-a-missing-root": Command(make_missing_root, CREATE),
    "changes-owners-of-root": Command(chown_root, CREATE),
    "changes-owner-of-cgroup": Command(chown_cgroup, CREATE),
    "refuses-unknown-properties": Command(refuse(has_unknown_property), CREATE),
    "refuses-unknown-annotations": Command(refuse(has_foreign_annotation), CREATE),
    "refuses-unknown-capabilities": Command(refuse(has_unknown_capability), CREATE),
    "refuses-other-versions": Command(refuse(one_version), CREATE),
    "refuses-console-size": Command(refuse(has_console_size), CREATE),
    "takes-any-file-for-config": Command(accept_other_names, CREATE),
    "takes-no-config": Command(empty_config, CREATE),
    "root-is-the-callers": Command(root_of_caller, CREATE),
    "needs-a-home": Command(needs_a_home, (*START, *STATE, *DELETE)),
    "knows-no-kill": Command(unknown_command, KILL),
    "creates-nothing": Command(nothing_at_all, CREATE),
    "takes-numbers-for-keys": Command(numbers_for_keys, CREATE),
    "unmounts-the-console": Command(no_console, CREATE),
    "warns-of-a-used-cgroup": Command(warn_of_a_used_cgroup, CREATE),
    "refuses-relative-cgroups": Command(refuse(relative_cgroup), CREATE),
    "updates-do-nothing": Command(no_update_is_refused, ("update",)),
}
