"""Makes a folder of packages for 64-bit ARM out of the environment that runs this.

Packages without machine code are copied. Of the others the same version is fetched in its ARM
build, or built here with the cross compiler where only sources are published. What exists in
neither form is named on stderr and left out: tests with it are on the list of those left out.

    .venv/bin/python .ci/arm64_site.py WORK    # reads WORK/debian, writes WORK/wheels, WORK/site
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

#: Of no use to the suite there: they train, check types, or install.
LEFT_OUT = re.compile(
    r"flatsat|torch|triton|nvidia.*|sympy|mpmath|networkx|numba|llvmlite|pip|mypy|librt|ruff|"
    r"ast.serialize"
)
#: Later builds of onnxruntime end with a segmentation fault under QEMU when they are imported.
PINNED = {"onnxruntime": "1.22.1"}
PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in (17, 24, 26, 27, 28, 31, 34)]
PLATFORMS.append("manylinux2014_aarch64")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
CROSS = "aarch64-linux-gnu-gcc"


def installed() -> tuple[list[metadata.Distribution], dict[str, str]]:
    """Return the packages without machine code, and name and version of the others."""
    pure, built = [], {}
    for package in metadata.distributions():
        name = package.metadata["Name"].lower().replace("_", "-")
        if LEFT_OUT.fullmatch(name):
            continue
        if re.search(r"^Tag: .*-none-any$", package.read_text("WHEEL") or "", re.MULTILINE):
            pure.append(package)
        else:
            built[name] = PINNED.get(name, package.version)
    return sorted(pure, key=lambda package: package.metadata["Name"]), dict(sorted(built.items()))


def copy(package: metadata.Distribution, site: Path) -> None:
    """Copy what a package has below its folder of packages; programs in bin/ are not needed."""
    for file in package.files or []:
        source = Path(str(package.locate_file(file)))
        if ".." not in file.parts and "__pycache__" not in file.parts and source.is_file():
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def fetch(wanted: dict[str, str], wheels: Path) -> list[str]:
    """Download the ARM builds; return the packages that are published for ARM as sources only."""
    options = [f"--platform={platform}" for platform in PLATFORMS]
    options += ["--python-version=3.11", "--implementation=cp", "--only-binary=:all:", "--no-deps"]
    options += ["--abi=cp311", "--abi=abi3", "--abi=none", f"--dest={wheels}"]
    left, sources = dict(wanted), []
    while left:
        names = [f"{name}=={version}" for name, version in left.items()]
        done = subprocess.run([*PIP, "download", *options, *names], stderr=subprocess.PIPE)
        text = done.stderr.decode()
        if done.returncode == 0:
            break
        missing = re.search(r"No matching distribution found for ([^\s=]+)==", text)
        if missing is None:
            sys.exit(f"arm64: pip download failed: {text.strip()}")
        sources.append(missing[1])
        del left[missing[1]]
    return sources


def cross_build(name: str, version: str, root: Path, wheels: Path) -> bool:
    """Build a package from its sources as Debian's Python there would; tell whether it can be."""
    library = root / "usr/lib/python3.11"
    env = dict(os.environ)
    env.update(CC=CROSS, LDSHARED=f"{CROSS} -shared", _PYTHON_HOST_PLATFORM="linux-aarch64")
    env.update(
        CFLAGS=f"-I{root}/usr/include/python3.11 -I{root}/usr/include",
        _PYTHON_SYSCONFIGDATA_NAME="_sysconfigdata__aarch64-linux-gnu",
        PYTHONPATH=str(wheels / "sysconfig"),
    )
    (wheels / "sysconfig").mkdir(exist_ok=True)
    for data in library.glob("_sysconfigdata_*aarch64*.py"):
        shutil.copyfile(data, wheels / "sysconfig" / "_sysconfigdata__aarch64-linux-gnu.py")
    command = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    command += [f"--no-binary={name}", f"--wheel-dir={wheels}", f"{name}=={version}"]
    return subprocess.run(command, env=env, stderr=subprocess.DEVNULL).returncode == 0


def main() -> None:
    """Make the folder anew where the packages are others than those that it was made of."""
    work = Path(sys.argv[1]).resolve()
    site, wheels = work / "site", work / "wheels"
    pure, built = installed()
    names = [f"{package.metadata['Name']}=={package.version}" for package in pure]
    text = Path(__file__).read_bytes() + repr((names, built)).encode()
    made_of = hashlib.sha256(text).hexdigest()
    stamp = site / ".made-of"
    if stamp.is_file() and stamp.read_text() == made_of:
        return
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    wheels.mkdir(exist_ok=True)
    for package in pure:
        copy(package, site)
    for name in fetch(built, wheels):
        if not cross_build(name, built[name], work / "debian", wheels):
            print(f"arm64: no package for {name}=={built[name]}", file=sys.stderr)
    wanted = {(name.replace("-", "_"), version) for name, version in built.items()}
    for wheel in sorted(wheels.glob("*.whl")):
        name, version, *_ = wheel.name.split("-")
        if (name.lower(), version) in wanted and not wheel.name.endswith("x86_64.whl"):
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(site)
    stamp.write_text(made_of)


if __name__ == "__main__":
    main()
