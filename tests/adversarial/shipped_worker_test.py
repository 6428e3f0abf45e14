#!/usr/bin/env python3
"""Holds that the shipped worker has none of the tests' openings: shipped_worker_test.py WORKER OPENED...

Looks through the symbols of holdfast-worker for those of tests/, which TestOpenings and its run_zygote() are among. The
OPENED programs are the ones with openings: their symbols are found, or this test could not fail."""

import subprocess
import sys

OF_TESTS = "holdfast::test::"
OPENINGS = OF_TESTS + "TestOpenings"


def symbols(program):
    """The program's symbols with readable names."""
    run = subprocess.run(["nm", "-C", program], check=True, text=True, stdout=subprocess.PIPE)
    return run.stdout.splitlines()


def main():
    worker, *opened = sys.argv[1:]
    failures = [f"{program}: {OPENINGS} is not found, so that this test proves nothing; is the program stripped?"
                for program in opened if not any(OPENINGS in symbol for symbol in symbols(program))]
    if not any("holdfast::worker::run_zygote" in symbol for symbol in symbols(worker)):
        failures.append(f"{worker}: run_zygote is not found; is the program stripped?")
    failures += [f"{worker}: has {symbol}" for symbol in symbols(worker) if OF_TESTS in symbol]
    for failure in failures:
        print(failure)
    return bool(failures) or not opened


sys.exit(main())
