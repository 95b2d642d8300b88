#!/usr/bin/env python3
"""Runs real clients and real attackers against the PBX.

    run.py [--pbx PATH] [--list] [NAME ...]     a NAME selects the cases that contain it

Prints a line for each case and, last, `N passed, N failed, N skipped`. Exit status 1 when a case failed.
A case whose tools are missing is skipped, says so, and is counted.
"""

import argparse
import inspect
import os
import pathlib
import signal
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

from lab.case import REGISTERED, Lab, Skip, missing  # noqa: E402


class OutOfTime(AssertionError):
    """A case did not end in its time."""


def main():
    arguments = parse()
    load_cases()
    chosen = [c for c in REGISTERED if not arguments.names or any(n in c.__name__ for n in arguments.names)]
    if arguments.list:
        for c in chosen:
            print(f"{c.__name__}: {inspect.cleandoc(c.__doc__)}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything a case started is ended
    signal.signal(signal.SIGALRM, out_of_time)
    binary = find_binary(arguments.pbx)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for c in chosen:
        counts[run(c, binary)] += 1
    print(", ".join(f"{n} {name}" for name, n in counts.items()), flush=True)
    return 1 if counts["failed"] else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pbx", type=pathlib.Path, help="the program to test (default: the newest build in target/)")
    parser.add_argument("--list", action="store_true", help="only name the cases")
    parser.add_argument("names", nargs="*", metavar="NAME")
    return parser.parse_args()


def load_cases():
    for file in sorted((HERE / "cases").glob("*.py")):
        __import__(f"cases.{file.stem}")


def find_binary(given):
    if given:
        return given.resolve() if given.is_file() else None
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parents[3] / "target")
    built = [p for p in (target / "debug" / "pbx", target / "release" / "pbx") if p.is_file()]
    return max(built, key=lambda p: p.stat().st_mtime, default=None)


def run(c, binary):
    name = c.__name__
    lacking = missing(c, binary)
    if lacking:
        print(f"SKIP {name}: {lacking} missing", flush=True)
        return "skipped"
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pbx-") as folder:
        why = failure(c, Lab(pathlib.Path(folder), binary))
    if isinstance(why, Skip):
        print(f"SKIP {name}: {why}", flush=True)
        return "skipped"
    if why is not None:
        print(f"FAIL {name}: {describe(why)}", flush=True)
        return "failed"
    print(f"PASS {name} ({time.monotonic() - start:.1f} s)", flush=True)
    return "passed"


def failure(c, lab):
    """What the case raised; None where all is well."""
    signal.alarm(c.seconds)
    try:
        with lab:
            c(lab)
    except Exception as why:  # every way of failing is reported, and the next case runs
        return why
    finally:
        signal.alarm(0)
    return None


def describe(why):
    """What went wrong, and the line of the case it went wrong in."""
    frames = [f for f in traceback.extract_tb(why.__traceback__) if f.filename.startswith(str(HERE / "cases"))]
    place = f"{pathlib.Path(frames[-1].filename).name}:{frames[-1].lineno}: " if frames else ""
    kind = "" if isinstance(why, AssertionError) else f"{type(why).__name__}: "
    return f"{place}{kind}{why}"


def out_of_time(*_):
    raise OutOfTime("not done in time")


if __name__ == "__main__":
    sys.exit(main())
