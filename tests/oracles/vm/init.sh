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
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 root /root
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 work /root@work@
mount -t devtmpfs dev /root/dev
mount -t proc proc /root/proc
mount -t sysfs sys /root/sys
mount -t tmpfs run /root/run
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts pts /root/dev/pts
[ ! -d /root/sys/kernel/config ] || mount -t configfs config /root/sys/kernel/config
: >/root@work@/booted
chroot /root /bin/sh -c 'cd @work@ && sh ./run.sh >stdout 2>stderr && : >done'
reboot -f
