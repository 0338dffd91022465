#!/usr/bin/env python3
"""The mutation audit: bugs are put into the product, one at a time, and the simulator has to find each.

    mutate.py                   all of them, up to 1,000 seeds each; prints a table; fails if one is missed
    mutate.py NAME…             only these
    mutate.py --check           only: does each apply, exactly once? (seconds; a tidy test runs it)
    --seeds N  --jobs N         seeds each at most (1000), copies of the tree worked on at once (2)

A mutation is text (mutations/*.txt): a file, what stands there exactly once, what is put in its place. The
product has no switches for it: the tree is copied, changed, and only the simulator is built.
"""
import argparse
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD_LIMIT_S = 900
RUN_LIMIT_S = 600


class Mutation:
    def __init__(self, name, what, path, old, new):
        self.name, self.what, self.path, self.old, self.new = name, what, path, old, new

    def fault(self, root):
        """None, or why it does not apply to the tree."""
        file = root / self.path
        if not file.is_file():
            return f"{self.path} is not there"
        n = file.read_text().count(self.old)
        return None if n == 1 else f"its old text stands {n} times in {self.path}"


def read_mutations():
    form = re.compile(r"^### ([a-z0-9-]+): ([^\n]+)\nfile: (\S+)\n<<<<\n(.*?)====\n(.*?)>>>>\n", re.M | re.S)
    found = []
    for file in sorted((HERE / "mutations").glob("*.txt")):
        text = file.read_text()
        here = [Mutation(*m.groups()) for m in form.finditer(text)]
        if len(here) != text.count("\n### ") + text.startswith("### "):
            sys.exit(f"{file.name}: a mutation is not of the form that mutations/README.md shows")
        found += here
    names = [m.name for m in found]
    for name in names:
        if names.count(name) > 1:
            sys.exit(f"two mutations are called {name}")
    return found


def check(mutations):
    faults = [f"{m.name}: {fault}" for m in mutations if (fault := m.fault(ROOT))]
    print("\n".join(faults) or f"{len(mutations)} mutations apply")
    return 1 if faults else 0


class Tree:
    """A copy of the tree with a build folder of its own."""

    def __init__(self, folder):
        self.root = folder / "tree"
        files = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                               capture_output=True, check=True).stdout
        for name in files.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        self.build = folder / "build"
        subprocess.run(["meson", "setup", str(self.build), str(self.root)], check=True, capture_output=True)

    def make(self):
        run = subprocess.run(["ninja", "-C", str(self.build), "tests/simulation/simulate"], capture_output=True,
                             text=True, timeout=BUILD_LIMIT_S)
        return run.returncode == 0, run.stdout[-1500:]

    def simulate(self, n_seeds):
        return subprocess.run([str(self.build / "tests/simulation/simulate"), "--seeds", f"1..{n_seeds}", "--no-shrink",
                               "--quiet"], capture_output=True, text=True, timeout=RUN_LIMIT_S)

    def judge(self, mutation, n_seeds):
        """(caught, seed or '', by which checker)"""
        file = self.root / mutation.path
        was = file.read_text()
        file.write_text(was.replace(mutation.old, mutation.new))
        try:
            built, output = self.make()
            if not built:
                return False, "", "does not build: " + output
            run = self.simulate(n_seeds)
            found = re.search(r"^seed (\d+) FAILED: (.*)$", run.stdout, re.M)
            if run.returncode == 1 and found:
                return True, found.group(1), found.group(2)
            return False, "", "not caught" if run.returncode == 0 else f"exit status {run.returncode}"
        except subprocess.TimeoutExpired:
            return True, "", "it hangs"
        finally:
            file.write_text(was)


def work(tree, todo, n_seeds, results):
    while True:
        try:
            i, mutation = todo.get_nowait()
        except queue.Empty:
            return
        begun = time.monotonic()
        results[i] = (mutation, *tree.judge(mutation, n_seeds))
        caught, seed, by = results[i][1:]
        print(f"{'caught' if caught else 'MISSED':6}  {seed:>5}  {mutation.name:34} {by.splitlines()[0][:60]} "
              f"({time.monotonic() - begun:.0f} s)", flush=True)


def main():
    parser = argparse.ArgumentParser(description="the mutation audit")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    mutations = read_mutations()
    if arguments.check:
        return check(mutations)
    chosen = [m for m in mutations if not arguments.names or m.name in arguments.names]
    if not chosen or check(chosen):
        return 1
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        trees = [Tree(pathlib.Path(folder) / str(i)) for i in range(min(arguments.jobs, len(chosen)))]
        built, output = trees[0].make()
        sound = trees[0].simulate(arguments.seeds) if built else None
        if not built or sound.returncode != 0:
            print("the unchanged tree does not pass:\n", output if not built else sound.stdout)
            return 1
        todo, results = queue.Queue(), {}
        for item in enumerate(chosen):
            todo.put(item)
        threads = [threading.Thread(target=work, args=(tree, todo, arguments.seeds, results)) for tree in trees]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print("\n| mutation | what | caught at seed | by |\n|---|---|---|---|")
    for i in sorted(results):
        mutation, caught, seed, by = results[i]
        print(f"| {mutation.name} | {mutation.what} | {seed if caught else 'MISSED'} | {by.splitlines()[0]} |")
    missed = [r[0].name for r in results.values() if not r[1]]
    rest = f"; missed: {', '.join(missed)}" if missed else ""
    print(f"\n{len(results) - len(missed)} of {len(results)} caught{rest}")
    return 1 if missed else 0


sys.exit(main())
