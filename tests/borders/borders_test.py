#!/usr/bin/env python3
"""Holds the borders between the folders: borders_test.py BUILD_FOLDER

For each folder, the headers that its sources can include are those of the folders that docs/source-map.md names, and no
others. The compiler is asked, with the arguments with which it compiles the folder's library."""

import json
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read_borders():
    """The folders that each folder may include besides itself, from the tables of docs/source-map.md."""
    named = {}
    for line in (ROOT / "docs/source-map.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            named[cells[0].strip("`")] = (re.findall("`([^`]+)`", cells[2]), cells[2].startswith("all of"))
    for folder, (others, is_all) in named.items():
        if is_all:
            others += [other for other in named if other.startswith(others[0] + "/")]

    def closure(folder):
        found = set()
        for other in named[folder][0]:
            if other != folder:
                found |= {other} | closure(other)
        return found

    return {folder: closure(folder) for folder in named}


BORDERS = read_borders()


def without_outputs(arguments):
    kept, skips = [], False
    for argument in arguments[: arguments.index("-o")]:
        if not skips and argument not in ("-MD", "-MQ", "-MF"):
            kept.append(argument)
        skips = argument in ("-MQ", "-MF")
    return kept


def compile_arguments(build):
    """The compiler's arguments for the library of each folder, by the folder."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        # FOLDER/libNAME.a.p/FILE.o, where the file is a source or, in a build in groups, a group of them.
        library = pathlib.PurePath(entry["output"]).parent
        folder = library.parent.as_posix()
        is_generated = library.name == "libschema.a.p"
        if folder in BORDERS and folder not in found and library.name.endswith(".a.p") and not is_generated:
            found[folder] = without_outputs(shlex.split(entry["command"]))
    return found


def includable(arguments, build, headers):
    """Those of the headers that a source compiled with these arguments can include."""
    source = "".join(f'#if __has_include("{header}")\n{header}\n#endif\n' for header in headers)
    run = subprocess.run([*arguments, "-E", "-P", "-x", "c++", "-"], cwd=build, input=source, text=True, check=True,
                         stdout=subprocess.PIPE)
    return set(run.stdout.replace(" ", "").split())


def main():
    build = pathlib.Path(sys.argv[1])
    header_of = {folder: sorted((ROOT / folder).glob("*.h"))[0].relative_to(ROOT).as_posix() for folder in BORDERS}
    arguments = compile_arguments(build)
    failures = checks = 0
    for folder, allowed in BORDERS.items():
        if folder not in arguments:
            if folder.startswith("worker/") and not any(name.startswith("worker/v8") for name in arguments):
                continue  # built without the worker
            print(f"{folder}: no source of it is compiled")
            failures += 1
            continue
        found = includable(arguments[folder], build, header_of.values())
        for other, header in header_of.items():
            if other == folder:
                continue
            # A folder's include directory has the folder in it, and so the folders below it.
            is_below = other.startswith(folder + "/")
            checks += 1
            if (header in found) != (other in allowed or is_below):
                print(f"{folder}: can {'not ' if other in allowed else ''}include {header}")
                failures += 1
    scheduler = arguments["supervisor/scheduler"]
    for name, compiles in (("boost", False), ("kj", False), ("capnp", False), ("spdlog", False), ("other", True)):
        checks += 1
        run = subprocess.run([*scheduler, "-fsyntax-only", "-x", "c++", "-"], cwd=build, input=f"int {name};\n", text=True,
                             capture_output=True)
        if (run.returncode == 0) != compiles:
            print(f"supervisor/scheduler: a use of {name} {'does not compile' if compiles else 'compiles'}")
            failures += 1
    print(f"{checks} borders, {failures} that do not hold")
    return failures > 0 or checks == 0


sys.exit(main())
