"""Build and run the fuzz targets of this folder with libFuzzer, ASan and UBSan.

    python csrc/fuzz/run.py                      every target, 100,000 runs each
    python csrc/fuzz/run.py crc --runs 1000000

Needs clang. Objects, corpora and findings go to ``build/fuzz``. Ends with 1 if a target found
something; the input is kept beside its log, and its path is printed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent
sys.path.insert(0, str(CSRC))
from build_hook import sources  # noqa: E402  # the hook lies beside the sources, in no package

BUILD = CSRC.parent / "build" / "fuzz"
SANITIZERS = ",address,undefined"
FLAGS = ["-O2", "-g", "-std=c11", "-fno-sanitize-recover=all", f"-I{CSRC}"]
#: What a target compiles beside the codec: the core that dev boards run, for a board of its own.
CORE = CSRC.parent / "boards" / "firmware" / "core"
BESIDE = {"board": [str(path) for path in sorted(CORE.glob("*.c")) if path.stem != "main"]}
FOLDERS = {"board": [f"-I{CORE}", f"-I{HERE / 'firmware'}"]}


def clang() -> str:
    """Return the newest clang that is installed."""
    names = ["clang", *(f"clang-{version}" for version in range(21, 13, -1))]
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        sys.exit("fuzz: no clang here; install it (Debian: apt install clang)")
    return found


def compile_codec(compiler: str, sanitizers: str) -> list[str]:
    """Compile every source of the codec, with coverage for the fuzzer; return the objects."""
    room = BUILD if sanitizers else BUILD / "bare"
    room.mkdir(parents=True, exist_ok=True)
    headers = max(path.stat().st_mtime for path in CSRC.rglob("*.h"))
    stale, objects = [], []
    for source in sources():
        made = room / f"{source.stem}.o"
        objects.append(str(made))
        if not made.exists() or made.stat().st_mtime < max(headers, source.stat().st_mtime):
            stale.append([compiler, *FLAGS, f"-fsanitize=fuzzer-no-link{sanitizers}", "-c"])
            stale[-1] += [str(source), "-o", str(made)]
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(subprocess.run, command, check=True) for command in stale]:
            done.result()
    return objects


def build(compiler: str, objects: list[str], name: str, sanitizers: str) -> Path:
    """Link one target and return its program."""
    program = BUILD / f"fuzz_{name}{'' if sanitizers else '_bare'}"
    inputs = [str(HERE / f"{name}.c"), *BESIDE.get(name, []), *objects]
    link = [compiler, *FLAGS, *FOLDERS.get(name, []), f"-fsanitize=fuzzer{sanitizers}", *inputs]
    subprocess.run([*link, "-o", str(program)], check=True)
    return program


def run(program: Path, name: str, runs: int, seconds: int, longest: int) -> tuple[int, bool]:
    """Run one target; return how many inputs it ran and whether all of them passed."""
    corpus = BUILD / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    command = [str(program), str(corpus), f"-runs={runs}", f"-artifact_prefix={BUILD}/{name}-"]
    command += [f"-max_len={longest}", "-rss_limit_mb=4096", "-print_final_stats=1"]
    command += [f"-max_total_time={seconds}"] if seconds else []
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    log = BUILD / f"{name}.log"
    log.write_text(done.stdout + done.stderr)
    count = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    return int(count.group(1)) if count else 0, done.returncode == 0


def main() -> int:
    """Run the targets that were asked for, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    targets = sorted(path.stem for path in HERE.glob("*.c"))
    parser.add_argument("target", nargs="*", help=f"of {', '.join(targets)}; default: all")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs a target")
    parser.add_argument("--seconds", type=int, default=0, help="time limit a target, 0 is none")
    parser.add_argument("--longest", type=int, default=4096, help="octets of an input at most")
    parser.add_argument(
        "--bare", action="store_true", help="without sanitizers: several times faster"
    )
    args = parser.parse_args()
    unknown = sorted(set(args.target) - set(targets))
    if unknown:
        parser.error(f"no target {unknown[0]!r}; there are {', '.join(targets)}")
    compiler = clang()
    sanitizers = "" if args.bare else SANITIZERS
    objects, total, bad = compile_codec(compiler, sanitizers), 0, []
    for name in args.target or targets:
        program = build(compiler, objects, name, sanitizers)
        count, passed = run(program, name, args.runs, args.seconds, args.longest)
        total += count
        bad += [] if passed else [name]
        verdict = "no finding" if passed else f"FINDING, see {BUILD / name}.log"
        print(f"{name:<24}{count:>14,} runs  {verdict}", flush=True)
    print(f"{'total':<24}{total:>14,} runs  {len(bad)} targets with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
