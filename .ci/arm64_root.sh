# Sourced: an emulated 64-bit ARM machine below $work. Debian's packages are unpacked and no code of
# them runs; afterwards $python is a Python there, and what it starts or compiles are ARM programs.

if ! command -v mmdebstrap qemu-aarch64-static aarch64-linux-gnu-gcc >/dev/null; then
    apt-get update -q
    apt-get install -q -y --no-install-recommends mmdebstrap qemu-user-static \
        gcc-aarch64-linux-gnu libc6-dev-arm64-cross
fi
if [ ! -x "$work/debian/bin/dash" ]; then
    rm -rf "$work/debian"
    mmdebstrap --quiet --variant=extract --architectures=arm64 \
        --include=python3,libpython3.11-dev,i2c-tools,spi-tools,gpiod,dash,coreutils \
        bookworm "$work/debian"
    rm -rf "$work/debian/dev" # the host's is used
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
cross="aarch64-linux-gnu-gcc $work/debian/usr/include/python3.11" # for csrc/build_hook.py
rm -rf "$work/bin" && mkdir "$work/bin"
ln -s "$work"/debian/usr/sbin/i2c* "$work"/debian/usr/bin/{gpio,spi}* "$work/bin"
# Shell and tools, too: the preload shim is of no use to those of the host.
ln -s "$work"/debian/bin/{cat,date,dd,echo,ls,sleep,stty,true} "$work"/debian/usr/bin/{head,od,printf} "$work/bin"
ln -s "$work/debian/bin/dash" "$work/bin/sh"
ln -s "$(command -v aarch64-linux-gnu-gcc)" "$work/bin/cc"
ln -s "$(command -v aarch64-linux-gnu-gcc)" "$work/bin/gcc"
python=$work/debian/usr/bin/python3.11
# The processor is that of a Raspberry Pi 5.
emulated() {
    QEMU_LD_PREFIX="$work/debian" QEMU_CPU=cortex-a76 PATH="$work/bin:$PATH" "$@"
}
