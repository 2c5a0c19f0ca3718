#!/bin/sh
# The first process of a guest kernel whose root is the host's: loads CAN, makes the serial line
# /dev/ttyS0 an interface slcan0, and runs the script in $work. Ends the guest whatever happens.
# The helper gives $work, a folder of the host; what the script puts there is the result.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
: >"$work/booted"
modules=/usr/lib/uml/modules/$(uname -r)/kernel
python3 -IS "$work/insmod.py" \
    "$modules/net/can/can.ko" "$modules/net/can/can-raw.ko" \
    "$modules/drivers/net/can/dev/can-dev.ko" "$modules/drivers/net/can/slcan/slcan.ko"
slcand -F /dev/ttyS0 slcan0 >"$work/slcand" 2>&1 &
until [ -e /sys/class/net/slcan0 ]; do sleep 0.05; done
ip link set slcan0 txqueuelen 1000 type can bitrate 500000
ip link set slcan0 up
cd "$work" && sh -eu ./script >"$work/stdout" 2>"$work/stderr" && : >"$work/done"
poweroff -f
