#!/bin/sh
# pid 1 without systemd: devices, the cgroup trees, the job, power off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
. /run/vm/environment
cgroups=/sys/fs/cgroup
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
mount -t mqueue mqueue /dev/mqueue
ln -sfn /proc/self/fd /dev/fd
for name in 0:stdin 1:stdout 2:stderr; do ln -sfn "/proc/self/fd/${name%:*}" "/dev/${name#*:}"; done
if [ "$VM_CGROUP" = v1 ]; then
  mount -t tmpfs -o mode=755 tmpfs $cgroups
  mkdir $cgroups/unified $cgroups/systemd
  mount -t cgroup2 cgroup2 $cgroups/unified
  mount -t cgroup -o none,name=systemd systemd $cgroups/systemd
  for controller in $(awk '$1 !~ /^#/ && $4 == 1 {print $1}' /proc/cgroups); do
    mkdir "$cgroups/$controller"
    mount -t cgroup -o "$controller" "$controller" "$cgroups/$controller" || rmdir "$cgroups/$controller"
  done
else
  mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 $cgroups
  mkdir $cgroups/init.scope $cgroups/job
  echo $$ >$cgroups/init.scope/cgroup.procs
  for controller in $(cat $cgroups/cgroup.controllers); do echo "+$controller" >$cgroups/cgroup.subtree_control; done
fi
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
mount --make-rshared /
ip link set lo up
hostname vm
/bin/sh /run/vm/job.sh
/bin/busybox poweroff -f
while :; do sleep 1; done
