#!/bin/busybox sh
# The first process of the guest: loads the modules, makes the host's root its own, runs run.sh in
# the shared folder. Ends the guest whatever happens.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
/bin/busybox --install -s /bin
for module in @modules@; do
    case $module in
    dummy_hcd) insmod /modules/$module.ko num=2 ;;
    *) insmod /modules/$module.ko ;;
    esac
done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 root /host
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 work /host@work@
mount -t devtmpfs dev /host/dev
mount -t proc proc /host/proc
mount -t sysfs sys /host/sys
mount -t tmpfs run /host/run
mkdir -p /host/dev/pts /host/dev/shm
mount -t devpts pts /host/dev/pts
[ ! -d /host/sys/kernel/config ] || mount -t configfs config /host/sys/kernel/config
: >/host@work@/booted
chroot /host /bin/sh -c 'cd @work@ && sh ./run.sh >stdout 2>stderr && : >done'
reboot -f
