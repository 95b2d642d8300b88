#!/usr/bin/env python3
"""The rules of the house that no compiler checks: layers, licences, where `unsafe` lives, words that must not stay.

Prints `error: ...` and `warning: ...` lines; exit status 1 if there was an error.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

CORE = "pbx-core"
SIBLINGS = {"pbx-sip", "pbx-media", "pbx-policy", "pbx-auth"}
BOUNDARY = "pbx-ffi"
LIBRARIES = {CORE, BOUNDARY} | SIBLINGS

MAY_DEPEND_ON = {CORE: set(), **{s: {CORE} for s in SIBLINGS}, BOUNDARY: SIBLINGS | {CORE}}
"""The arrows of the layer diagram; programs under examples/ may use everything."""

UNSAFE_ROOMS = ("pbx-ffi/", "pbx-media/src/srtp/kernel")

PERMISSIVE = {"MIT", "MIT-0", "ISC", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Zlib", "Unlicense", "CC0-1.0", "BSL-1.0",
              "Unicode-3.0", "Unicode-DFS-2016"}
"""Licences that go with every host. Apache-2.0 alone does not go with GPL-2.0-only, the licence of Asterisk."""

ALSO_IN_PROGRAMS = {"Apache-2.0", "Apache-2.0 WITH LLVM-exception", "CDLA-Permissive-2.0", "MPL-2.0"}

UNFINISHED = re.compile(r"\b(todo|unimplemented|dbg)!\(|\b(TODO|FIXME)\b|not yet implemented|#\[ignore\]")
UNSAFE = re.compile(r"\bunsafe\s*(fn|impl|extern|\{)")
SLEEP = re.compile(r"\bsleep\(")
LONG = 500


def main():
    metadata = json.loads(subprocess.run(["cargo", "metadata", "--format-version", "1", "--locked"], cwd=ROOT, check=True,
                                         capture_output=True).stdout)
    files = tracked()
    errors = [*layers(metadata), *licences(metadata), *unsafe_code(files), *unfinished(files), *sleeps(files)]
    for warning in long_files(files):
        print(f"warning: {warning}")
    for error in errors:
        print(f"error: {error}")
    return 1 if errors else 0


def tracked():
    """Path and text of every file of ours, those not yet added included."""
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.splitlines()
    kinds = (".rs", ".py", ".sh", ".c", ".h", ".toml", ".xml", ".html", ".js", ".css")
    ours = [n for n in names if n.endswith(kinds) and n != ".ci/house.py" and (ROOT / n).is_file()]
    return {n: (ROOT / n).read_text(encoding="utf-8", errors="replace").splitlines() for n in ours}


def layers(metadata):
    for package in metadata["packages"]:
        allowed = MAY_DEPEND_ON.get(package["name"])
        if allowed is None or package["source"]:
            continue
        for dependency in package["dependencies"]:
            if dependency["name"] in LIBRARIES - allowed:
                yield f"{package['name']} depends on {dependency['name']}: the layers of ARCHITECTURE.md forbid it"


def licences(metadata):
    packages = {p["id"]: p for p in metadata["packages"]}
    linked = reachable(metadata, {p["id"] for p in packages.values() if p["name"] in LIBRARIES and not p["source"]})
    everything = reachable(metadata, set(metadata["workspace_members"]))
    for name in sorted(everything):
        package = packages[name]
        allowed = PERMISSIVE if name in linked else PERMISSIVE | ALSO_IN_PROGRAMS
        if not acceptable(package["license"] or "", allowed):
            yield f"{package['name']} {package['version']}: licence {package['license']} is not among the allowed ones"


def reachable(metadata, start):
    """The packages that are linked into those of `start`: normal dependencies and theirs."""
    nodes = {n["id"]: n for n in metadata["resolve"]["nodes"]}
    seen, waiting = set(), list(start)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [d["pkg"] for d in nodes[name]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
    return seen


def acceptable(expression, allowed):
    """Whether one alternative of an SPDX expression consists of allowed licences only."""
    text = expression.replace("/", " OR ")
    required = re.split(r"\s+AND\s+(?![^(]*\))", text)
    return all(any(alternative_ok(a, allowed) for a in re.split(r"\s+OR\s+", part.strip("() "))) for part in required)


def alternative_ok(alternative, allowed):
    return all(name.strip("() ") in allowed for name in re.split(r"\s+AND\s+", alternative))


def unsafe_code(files):
    for name, lines in files.items():
        if name.endswith(".rs") and not name.startswith(UNSAFE_ROOMS):
            yield from (f"{name}:{n}: unsafe outside its two rooms" for n, line in enumerate(lines, 1)
                        if UNSAFE.search(line.partition("//")[0]))
    for crate in LIBRARIES - {BOUNDARY, "pbx-media"}:
        if not any("forbid(unsafe_code)" in line for line in files.get(f"{crate}/src/lib.rs", [])):
            yield f"{crate}/src/lib.rs: #![forbid(unsafe_code)] is missing"


def unfinished(files):
    for name, lines in files.items():
        if name.endswith((".rs", ".py", ".c", ".h", ".sh")):
            yield from (f"{name}:{n}: unfinished: {line.strip()[:80]}" for n, line in enumerate(lines, 1)
                        if UNFINISHED.search(line))


def sleeps(files):
    """Tests wait for a condition or use the clock they are given."""
    for name, lines in files.items():
        if name.endswith(".rs") and "/tests/" in name:
            yield from (f"{name}:{n}: sleeps" for n, line in enumerate(lines, 1) if SLEEP.search(line))


def long_files(files):
    for name, lines in files.items():
        if name.endswith(".rs") and len(lines) > LONG:
            yield f"{name}: {len(lines)} lines; is there a seam?"


if __name__ == "__main__":
    sys.exit(main())
