#!/usr/bin/env python3
"""Counts what test runs have shown: tests/count.py TESTLOG.json...

Each argument is the JSON log of one `meson test` run, or NAME=TESTLOG.json to name the run. A program that speaks
TAP counts by its cases, any other program as one. A program that ended badly without a failed case counts as one
failure more: a crash or a leak after the last case is one.
Prints what failed and why, then `N passed, N failed` alone on the last line.
Exit status 1 if anything failed, or if nothing ran.
"""

import json
import os
import re
import sys

CASE = re.compile(r"^(not ok|ok)\b\s*\d*\s*-?\s*(.*)$", re.MULTILINE)
PLAN = re.compile(r"^1\.\.\d+", re.MULTILINE)
GOOD = {"OK", "EXPECTEDFAIL"}
TAIL_LINES = 60


def count(run, entry):
    """(passed, failed, skipped, names of what failed) of one program."""
    name = f"{run}: {entry['name']}" if run else entry["name"]
    out = entry.get("stdout") or ""
    if entry["result"] == "SKIP":
        return 0, 0, 1, []
    good = entry["result"] in GOOD
    if not PLAN.search(out):
        return (
            (1, 0, 0, [])
            if good
            else (0, 1, 0, [f"{name} ({entry['result']}, status {entry.get('returncode')})"])
        )
    passed, failed, skipped, names = 0, 0, 0, []
    for verdict, title in CASE.findall(out):
        if "# SKIP" in title.upper():
            skipped += 1
        elif verdict == "ok":
            passed += 1
        else:
            failed += 1
            names.append(f"{name}: {title}")
    if not good and failed == 0:
        failed = 1
        names.append(
            f"{name} ended badly after its cases ({entry['result']}, status {entry.get('returncode')})"
        )
    return passed, failed, skipped, names


def main(arguments):
    total = [0, 0, 0]
    faults = []
    for argument in arguments:
        run, _, log = argument.rpartition("=")
        if not os.path.exists(log):
            print(f"{log}: the run has left no log")
            total[1] += 1
            continue
        with open(log, encoding="utf-8") as f:
            entries = [json.loads(line) for line in f]
        for entry in entries:
            passed, failed, skipped, names = count(run, entry)
            total = [a + b for a, b in zip(total, (passed, failed, skipped))]
            if failed:
                text = (
                    "\n".join(filter(None, (entry.get("stdout"), entry.get("stderr")))).rstrip().split("\n")
                )
                faults.append((names, text))
    for names, text in faults:
        print(f"\n---- {names[0]}")
        print("\n".join(text[-TAIL_LINES:]))
    if faults:
        print("\nFailed:")
        for names, _ in faults:
            for name in names:
                print(f"  {name}")
    if total[2]:
        print(f"({total[2]} skipped)")
    if total[0] + total[1] == 0:
        print("no test has run")
    print(f"{total[0]} passed, {total[1]} failed")
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
