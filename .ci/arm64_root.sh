# Sourced: an emulated 64-bit ARM machine below $work. Debian's packages are unpacked and no code of
# them runs; afterwards $python is a Python there, and what it starts or compiles are ARM programs.

if ! command -v mmdebstrap qemu-aarch64-static aarch64-linux-gnu-gcc >/dev/null; then
    apt-get update -q
    apt-get install -q -y --no-install-recommends mmdebstrap qemu-user-static \
        gcc-aarch64-linux-gnu libc6-dev-arm64-cross
fi
if [ ! -x "$work/root/bin/dash" ]; then
    rm -rf "$work/root"
    mmdebstrap --quiet --variant=extract --architectures=arm64 \
        --include=python3,libpython3.11-dev,i2c-tools,spi-tools,gpiod,dash,coreutils \
        bookworm "$work/root"
    rm -rf "$work/root/dev" # the host's is used
fi
if [ ! -e /proc/sys/fs/binfmt_misc/register ]; then
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
fi
if [ ! -e /proc/sys/fs/binfmt_misc/flatsat-arm64 ]; then
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf ':flatsat-arm64:M::%s:%s:%s:F' "$magic" "$mask" "$(command -v qemu-aarch64-static)" \
        >/proc/sys/fs/binfmt_misc/register
fi
cross="aarch64-linux-gnu-gcc $work/root/usr/include/python3.11" # for csrc/build_hook.py
rm -rf "$work/bin" && mkdir "$work/bin"
ln -s "$work"/root/usr/sbin/i2c* "$work"/root/usr/bin/{gpio,spi}* "$work/bin"
# Shell and tools, too: the preload shim is of no use to those of the host.
ln -s "$work"/root/bin/{cat,date,dd,echo,ls,sleep,stty,true} "$work"/root/usr/bin/{head,od,printf} "$work/bin"
ln -s "$work/root/bin/dash" "$work/bin/sh"
ln -s "$(command -v aarch64-linux-gnu-gcc)" "$work/bin/cc"
ln -s "$(command -v aarch64-linux-gnu-gcc)" "$work/bin/gcc"
python=$work/root/usr/bin/python3.11
# The processor is that of a Raspberry Pi 5.
emulated() {
    QEMU_LD_PREFIX="$work/root" QEMU_CPU=cortex-a76 PATH="$work/bin:$PATH" "$@"
}
