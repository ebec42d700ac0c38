#!/bin/sh
# The command, as root or as a user in a delegated cgroup, with its output on the guest's line; then its exit status.
cd /
. /run/vm/environment
case $VM_ENGINE in uml) line=/dev/tty1; stty -F $line raw -echo ;; *) line=/dev/vport0p1 ;; esac
exec >$line 2>&1 </dev/null
cgroups=/sys/fs/cgroup
if [ "$VM_USER" = root ]; then
  [ "$VM_INIT$VM_CGROUP" != plainv2 ] || echo $$ >$cgroups/job/cgroup.procs
  /bin/bash /run/vm/command
else
  uid=$(id -u "$VM_USER"); home=$(getent passwd "$VM_USER" | cut -d: -f6)
  chmod 755 /run/vm
  if [ "$VM_INIT" = systemd ]; then
    loginctl enable-linger "$VM_USER"
    systemctl start "user@$uid.service"
    systemd-run --quiet --wait --collect --pipe --uid="$VM_USER" -p PAMName=login -p Delegate=yes \
      -E XDG_RUNTIME_DIR="/run/user/$uid" -E DBUS_SESSION_BUS_ADDRESS="unix:path=/run/user/$uid/bus" -E HOME="$home" \
      /bin/bash /run/vm/command
  else
    mkdir -p "/run/user/$uid"; chown "$VM_USER:" "/run/user/$uid"; chmod 700 "/run/user/$uid"
    if [ "$VM_CGROUP" = v2 ]; then  # what systemd's Delegate= gives a user: cgroups(7)
      own=$cgroups/user.$uid
      mkdir -p "$own/job"
      for controller in $(cat "$own/cgroup.controllers"); do echo "+$controller" >"$own/cgroup.subtree_control"; done
      chown "$VM_USER" "$own" "$own/cgroup.procs" "$own/cgroup.subtree_control" "$own/cgroup.threads"
      chown -R "$VM_USER" "$own/job"
      echo $$ >"$own/job/cgroup.procs"
    fi
    XDG_RUNTIME_DIR="/run/user/$uid" HOME="$home" USER="$VM_USER" \
      setpriv --reuid "$VM_USER" --regid "$uid" --init-groups /bin/bash /run/vm/command
  fi
fi
status=$?
sync
echo $status >/run/vm-out/status.new; mv /run/vm-out/status.new /run/vm-out/status
