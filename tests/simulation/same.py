#!/usr/bin/env python3
"""The same seed tells the same story: twice, with other addresses and other rubbish in fresh memory, and in
every build that is given.

    same.py SEEDS SIMULATE [SIMULATE…]        SEEDS as 1..50

A further SIMULATE that is not there, or is older than the sources, is left out.
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def newest_source():
    folders = [ROOT / "src", ROOT / "storage", ROOT / "subjects", ROOT / "tests" / "simulation"]
    return max(file.stat().st_mtime for folder in folders for file in folder.rglob("*.[ch]"))


def stories(program, seeds, perturb):
    environment = dict(os.environ, MALLOC_PERTURB_=str(perturb), MALLOC_ARENA_MAX=str(perturb % 3 + 1))
    run = subprocess.run([program, "--seeds", seeds, "--hash"], env=environment, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{program} failed:\n{run.stdout}{run.stderr}")
    return run.stdout.split("\n")


def main():
    seeds, programs = sys.argv[1], sys.argv[2:3]
    programs += [p for p in sys.argv[3:] if os.access(p, os.X_OK) and os.path.getmtime(p) >= newest_source()]
    first = stories(programs[0], seeds, 0)
    told = 0
    for program in programs:
        for perturb in (85, 170) if program == programs[0] else (85,):
            for one, other in zip(first, stories(program, seeds, perturb), strict=True):
                if one != other:
                    sys.exit(f"seed {one.split()[0]}: {programs[0]} tells {one.split()[1]}, "
                             f"{program} tells {other.split()[1]}")
            told += 1
    print(f"{len(first) - 1} seeds told the same story {told + 1} times in {len(programs)} build(s)")


main()
