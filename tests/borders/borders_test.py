#!/usr/bin/env python3
"""Holds the borders between the folders: borders_test.py BUILD_FOLDER

For each folder, the headers that its sources can include are those of the folders that are named here, and no others. The
compiler is asked, with the arguments with which it compiles the folder's first source."""

import json
import pathlib
import shlex
import subprocess
import sys

# Each folder, and what it may include besides itself.
IPC = ["ipc", "ipc/base"]
SUPERVISOR_PARTS = ["scheduler", "shares", "log", "net", "broker", "modules", "settings", "workers"]
BORDERS = {
    "ipc/base": [],
    "ipc": ["ipc/base"],
    "sandbox": ["ipc/base"],
    "supervisor/scheduler": ["ipc/base"],
    "supervisor/shares": ["ipc/base", "supervisor/scheduler"],
    "supervisor/log": IPC + ["supervisor/scheduler", "supervisor/shares"],
    "supervisor/net": IPC + ["sandbox", "supervisor/scheduler", "supervisor/shares", "supervisor/log"],
    "supervisor/broker": IPC + ["supervisor/scheduler", "supervisor/shares", "supervisor/log"],
    "supervisor/modules": IPC + ["supervisor/broker", "supervisor/scheduler", "supervisor/shares", "supervisor/log"],
    "supervisor/settings": IPC + ["supervisor/broker", "supervisor/scheduler", "supervisor/shares", "supervisor/log"],
    "supervisor/workers": IPC + ["sandbox", "supervisor/scheduler", "supervisor/shares", "supervisor/log",
                                 "supervisor/net", "supervisor/broker"],
    "supervisor": IPC + ["sandbox"] + ["supervisor/" + part for part in SUPERVISOR_PARTS],
    "worker/plain": ["ipc/base"],
    "worker/channel": IPC,
    "worker/crypto": ["ipc/base", "worker/plain"],
    "worker/v8": IPC + ["worker/plain", "worker/channel", "worker/crypto"],
    "worker/process": IPC + ["sandbox", "worker/plain", "worker/channel", "worker/crypto", "worker/v8"],
    "tools/cli": IPC,
}


def without_outputs(arguments):
    kept, skips = [], False
    for argument in arguments[: arguments.index("-o")]:
        if not skips and argument not in ("-MD", "-MQ", "-MF"):
            kept.append(argument)
        skips = argument in ("-MQ", "-MF")
    return kept


def compile_arguments(build):
    """The compiler's arguments for one source of each folder, by the folder."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = pathlib.Path(entry["file"])
        folder = source.parent.as_posix().removeprefix("../")
        if folder in BORDERS and folder not in found and source.suffix == ".cc":
            arguments = shlex.split(entry["command"])
            found[folder] = without_outputs(arguments)
    return found


def includable(arguments, build, headers):
    """Those of the headers that a source compiled with these arguments can include."""
    source = "".join(f'#if __has_include("{header}")\n{header}\n#endif\n' for header in headers)
    run = subprocess.run([*arguments, "-E", "-P", "-x", "c++", "-"], cwd=build, input=source, text=True, check=True,
                         stdout=subprocess.PIPE)
    return set(run.stdout.replace(" ", "").split())


def main():
    build = pathlib.Path(sys.argv[1])
    root = pathlib.Path(__file__).resolve().parents[2]
    header_of = {folder: next((root / folder).glob("*.h")).relative_to(root).as_posix() for folder in BORDERS}
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
