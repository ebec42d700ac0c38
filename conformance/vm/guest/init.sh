#!/bin/busybox sh
# The first process of the guest, from its initramfs: this machine's own / under a tmpfs, what is shared, then pid 1.
# kernel command line: vm.init=plain|systemd, vm.share=TYPE:WHAT:WHERE (repeated), vm.root=TYPE:WHAT
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sysfs /sys; $b mount -t devtmpfs dev /dev
for module in $($b cat /modules/order); do $b insmod "/modules/$module" 2>/dev/kmsg; done
for word in $($b cat /proc/cmdline); do
  case $word in
    vm.init=*) init=${word#*=} ;;
    vm.root=*) root=${word#*=} ;;
    vm.share=*) shares="$shares ${word#*=}" ;;
  esac
done

share() {  # TYPE WHAT WHERE EXTRA
  case $1 in
    hostfs) $b mount -t hostfs -o "$2" none "$3" ;;
    9p) $b mount -t 9p -o "$4trans=virtio,version=9p2000.L,msize=512000" "$2" "$3" ;;
  esac
}

$b mkdir /lower /upper
share "${root%%:*}" "${root#*:}" /lower cache=loose,
$b mount -o remount,ro /lower
$b mount -t tmpfs -o mode=755 tmpfs /upper; $b mkdir /upper/changes /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/changes,workdir=/upper/work,xino=off overlay /new
$b mount -t tmpfs -o mode=1777 tmpfs /new/tmp
$b mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /new/run
for one in $shares; do
  rest=${one#*:}; where=/new${rest#*:}
  $b mkdir -p "$where"; share "${one%%:*}" "${rest%%:*}" "$where" access=any,
done
$b mkdir -p /new/run/vm; $b cp -a /job/. /new/run/vm/
$b mount -t securityfs securityfs /sys/kernel/security

# A machine that is a container itself: systemd would take the guest for one, and read no kernel command line.
$b rm -f /new/.dockerenv

# A user with subordinate ids, and nothing that this machine's own accounts have.
echo "tester:x:4242:4242::/home/tester:/bin/sh" >>/new/etc/passwd
echo "tester:x:4242:" >>/new/etc/group
echo "tester:*:19000:0:99999:7:::" >>/new/etc/shadow
echo "tester:100000:65536" | $b tee -a /new/etc/subuid >>/new/etc/subgid
$b mkdir -p /new/home/tester; $b chown 4242:4242 /new/home/tester

if [ "$init" = systemd ]; then
  units=/new/run/systemd/system
  $b mkdir -p $units/multi-user.target.wants
  $b cp /job/vm.service $units/; $b ln -s ../vm.service $units/multi-user.target.wants/
  for unit in $($b cat /job/masked); do $b ln -s /dev/null "$units/$unit"; done
  next=/sbin/init
else
  next=/run/vm/plain.sh
fi
$b mount --move /proc /new/proc; $b mount --move /sys /new/sys; $b mount --move /dev /new/dev
exec $b switch_root /new $next
