"""A small virtual machine whose USB bus has devices that can be plugged, and with CAN: no hardware.

QEMU emulates the processor (TCG, no KVM). Kernel and modules are Debian's, unpacked from their
package or installed; the root is the host's, read-only over 9p, so that the interpreter and the
packages that run the tests run inside as well. ``dummy_hcd`` of the kernel is a USB host and a
USB device controller wired to each other: what the device side plugs in, the host side enumerates.
A script runs as root of the guest and puts its results into a folder that the host shares.
"""

from __future__ import annotations

import json
import lzma
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
#: where .ci/run unpacks the package of the kernel, and where an installed one lies
KERNELS = (Path.home() / ".cache" / "flatsat" / "kernel", Path("/"))
QEMU, PACKAGE = "qemu-system-x86_64", "qemu-system-x86"
#: loaded in this order, each after what it depends on
ROOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p")
USB_MODULES = ("dummy_hcd", "libcomposite", "usb_f_acm", "cdc_acm")
CAN_MODULES = ("can", "can_raw", "vcan")
#: a guest needs some twenty seconds, more on a busy machine; one that hangs is ended
LIMIT_S = 480


class Kernel:
    """A kernel image and its modules; a guest loads those of ``names`` and what they need."""

    def __init__(self, image: Path, modules: Path, names: tuple[str, ...]) -> None:
        self.image = image
        self.names = ROOT_MODULES + names
        built_in = (modules / "modules.builtin").read_text().split()
        self.built_in = {_plain(Path(name)) for name in built_in}
        self.modules = {_plain(path): path for path in modules.rglob("*.ko*")}

    def wants(self) -> list[str]:
        """Return the modules to load, in order; raises ``KeyError`` for one that is not there."""
        order: list[str] = []
        for name in self.names:
            self._want(name, order)
        return order

    def _want(self, name: str, order: list[str]) -> None:
        if name in self.built_in or name in order:
            return
        needs = re.search(rb"\0depends=([^\0]*)\0", self.octets(name))
        for need in (needs[1].decode() if needs else "").split(","):
            if need:
                self._want(need.replace("-", "_"), order)
        order.append(name)

    def octets(self, name: str) -> bytes:
        """Return a module, unpacked."""
        path = self.modules[name]
        return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def _plain(path: Path) -> str:
    return path.name.partition(".")[0].replace("-", "_")


def _kernels(names: tuple[str, ...]) -> Iterator[Kernel]:
    for root in KERNELS:
        for image in sorted(root.glob("boot/vmlinuz-*"), reverse=True):
            modules = root / "lib" / "modules" / image.name.partition("-")[2]
            if (modules / "modules.builtin").is_file() and os.access(image, os.R_OK):
                yield Kernel(image, modules, names)


def require_vm(names: tuple[str, ...] = USB_MODULES) -> Kernel:
    """Return a kernel that has these modules; skips by name what this host lacks."""
    if platform.machine() != "x86_64":
        pytest.skip("the root of the guest is the host's, and the guest an x86-64")
    if shutil.which(QEMU) is None:
        pytest.skip(f"{QEMU} is not installed (Debian package {PACKAGE})")
    busybox()
    lack = f"no kernel below {' or '.join(map(str, KERNELS))} (.ci/run unpacks Debian's)"
    for kernel in _kernels(names):
        try:
            kernel.wants()
        except KeyError as error:
            lack = f"the kernel {kernel.image} has no module {error.args[0]}"
        else:
            return kernel
    pytest.skip(lack)


def busybox() -> Path:
    """Return a busybox that needs no library; skips where there is none."""
    found = shutil.which("busybox")
    if found is None or b"ld-linux" in Path(found).read_bytes()[:4096]:
        pytest.skip("no static busybox is installed (Debian package busybox-static)")
    return Path(found).resolve()


def _archive(files: dict[str, tuple[int, bytes]]) -> bytes:
    """Return an archive of name -> (mode, octets): "newc", Documentation/filesystems of the kernel,
    ramfs-rootfs-initramfs and driver-api/early-userspace/buffer-format.
    """
    archive = bytearray()
    for number, (name, (mode, octets)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], 1):
        fields = (number, mode, 0, 0, 1, 0, len(octets), 0, 0, 0, 0, len(name) + 1, 0)
        archive += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        archive += bytes(-len(archive) % 4) + octets
        archive += bytes(-len(archive) % 4)
    return bytes(archive)


def initrd(kernel: Kernel, work: str) -> bytes:
    """Return the first root of the guest: busybox, the modules and what mounts the host's root."""
    folders = ("bin", "dev", "modules", "proc", "host", "sys")
    files = dict.fromkeys(folders, (stat.S_IFDIR | 0o755, b""))
    files["bin/busybox"] = (stat.S_IFREG | 0o755, busybox().read_bytes())
    order = kernel.wants()
    for name in order:
        files[f"modules/{name}.ko"] = (stat.S_IFREG | 0o644, kernel.octets(name))
    text = (HERE / "init.sh").read_text().replace("@modules@", " ".join(order))
    files["init"] = (stat.S_IFREG | 0o755, text.replace("@work@", work).encode())
    return _archive(files)


class Machine:
    """One guest, from boot to halt. It shares a folder, which is the working one of its program."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.work = Path(tempfile.mkdtemp(prefix="vm-"))

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.work)

    def read(self, name: str) -> str:
        """Return what the script has left in a file."""
        return (self.work / name).read_text(errors="replace")

    def command(self) -> list[str]:
        """Return what boots the guest."""
        shares = []
        for tag, folder, access in (("root", "/", ",readonly=on"), ("work", self.work, "")):
            how = f"security_model=none,multidevs=remap{access}"
            shares += ["-fsdev", f"local,id={tag},path={folder},{how}"]
            shares += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
        return [
            *(QEMU, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "384"),
            *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
            *("-kernel", str(self.kernel.image), "-initrd", str(self.work / "initrd")),
            *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
            *shares,
        ]

    def run(self, program: str) -> object:
        """Boot, run a program that lies beside this file, halt; return what it found, from JSON.

        Skips where the kernel does not get as far as its first process; fails where the program
        did.
        """
        (self.work / "run.sh").write_text(
            f"export PYTHONPATH={ROOT} PYTHONDONTWRITEBYTECODE=1 TMPDIR=/run HOME=/run\n"
            f"exec {sys.executable} {HERE / program}\n"
        )
        (self.work / "initrd").write_bytes(initrd(self.kernel, "/mnt"))
        log = self.work / "log"
        with log.open("wb") as output:
            guest = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
            try:
                guest.wait(LIMIT_S)
            finally:
                if guest.poll() is None:
                    guest.kill()
                    guest.wait()
        said = log.read_text(errors="replace")
        if not (self.work / "booted").exists():
            last = " | ".join(said.splitlines()[-5:])
            pytest.skip(f"{self.kernel.image} does not boot in {QEMU} here: {last}")
        assert (self.work / "done").exists(), (said, self.read("stdout"), self.read("stderr"))
        return json.loads(self.read("result"))
