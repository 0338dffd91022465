#!/usr/bin/env python3
"""The house rules that a program can check. Prints TAP; every fault is a sentence with file and line.

    tests/tidy/tidy.py SOURCE_ROOT [--libs LIBRARY...]

Each rule is a generator of (place, sentence); the table at the end names them. What the rules hold is
written down here and nowhere else: floors, third-party headers, the pure core's forbidden symbols, sizes.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

# ---- what there is ----------------------------------------------------------------------------------

SKIPPED_DIRS = {".git", "node_modules", "__pycache__", ".cache"}
TEXT_ENDINGS = (
    ".c",
    ".cc",
    ".h",
    ".proto",
    ".py",
    ".js",
    ".md",
    ".sh",
    ".build",
    ".conf",
    ".yaml",
    ".yml",
    ".json",
    ".service",
)
TOP_LEVEL = {
    "meson.build",
    "meson_options.txt",
    "README.md",
    "LICENSE",
    "src",
    "include",
    "subjects",
    "storage",
    "tests",
    "deploy",
}
FILE_LINES_MAX = 700
LINE_COLUMNS_MAX = 120

# Folder: the project folders that its files may include (its own is always allowed, and so is <runbook/…>).
# The longest matching folder counts.
PURE = {"src/base", "src/json", "src/schema", "src/model", "src/expr"}
FLOORS = {
    "include": set(),
    "src/base": set(),
    "src/json": {"src/base"},
    "src/schema": {"src/base", "src/json", "src/model/limits.h"},
    "src/expr": {"src/base", "src/json", "src/model"},
    "src/model": {"src/base", "src/json", "src/schema", "src/expr"},
    "src/engine": PURE,
    "storage": PURE,
    "src/runtime": PURE | {"src/engine", "storage"},
    "src/executors": PURE | {"src/runtime/ports.h"},
    "subjects": PURE | {"src/runtime/ports.h", "storage"},
    "src/daemon": PURE | {"src/gateway/gateway.h", "src/engine", "src/runtime", "src/executors", "storage", "subjects"},
    "src/client": {"src/base", "src/json"},
    "src/cli": PURE | {"src/client"},  # model and expr: `validate` and `graph` work offline
    "src/gateway": {"src/base", "src/json", "src/client"},
    "deploy": set(),
    "tests": None,  # anything
}

# Third-party header: the only files that may include it, as patterns over the path.
THIRD_PARTY = {
    r"openssl/": [
        r"src/gateway/(jwks|token_file)\.c",
        r"src/json/(digest|signature)\.c",
        r"src/client/credentials\.c",
    ],
    r"jansson\.h": [r"src/(?!base/).*", r"storage/.*", r"subjects/.*", r"deploy/examples/.*"],
    r"yaml\.h": [r"src/json/yaml\.c"],
    r"microhttpd\.h": [r"src/gateway/http_server\.c"],
    r"nats(/nats)?\.h": [r"subjects/bus_[^/]*", r"src/client/[^/]*"],
    r"lmdb\.h": [r"storage/kv_lmdb[^/]*"],
    r"curl/": [r"src/executors/http[^/]*", r"src/executors/otlp\.c"],
    r"google/protobuf/": [r"src/executors/grpc_codec\.cc"],
    r"j[qv]\.h": [r"src/executors/jq_child/[^/]*"],
    r"dlfcn\.h": [r"src/base/allocation\.c", r"src/executors/plugin[^/]*"],
    r"pcre2\.h": [r"src/expr/[^/]*", r"src/schema/pattern\.c"],
    r"uuid/": [r"src/client/random_bits\.c"],
    r"pthread\.h": [r"(?!src/(json|schema|model|expr|engine)/).*", r"src/json/(digest|signature)\.c"],
    r"sys/socket\.h": [r"src/(client|executors|daemon|gateway)/.*", r"subjects/.*", r"deploy/.*"],
}

# What the pure libraries' objects must not call: clock, randomness, files, network, threads, output.
FORBIDDEN_SYMBOLS = re.compile(
    r"^(clock_\w+|time|gettimeofday|localtime\w*|gmtime\w*|nanosleep|usleep|sleep|alarm"
    r"|setitimer|timer_(create|settime|gettime|delete)"
    r"|rand\w*|srand\w*|[dlemj]rand48|getrandom|getentropy|arc4random\w*|uuid_generate\w*"
    r"|open(at|64)?|fopen(64)?|freopen|fdopen|creat|read|write|pread\w*|pwrite\w*|fread|fwrite|unlink\w*|rename\w*"
    r"|mmap\w*"
    r"|ioctl|fcntl\w*|stat|lstat|fstat\w*|opendir|readdir\w*"
    r"|socket|connect|bind|listen|accept4?|send(to|msg)?|recv(from|msg)?|poll|ppoll|select|epoll_\w+|getaddrinfo"
    r"|pthread_(create|join|cond_\w+|mutex_\w+|rwlock_\w+)"
    r"|fork|vfork|execv\w*|posix_spawn\w*|system|popen|kill|raise|signal|sigaction"
    r"|v?printf|v?fprintf|puts|fputs|putchar|fputc|perror|__v?f?printf_chk"
    r"|getenv|secure_getenv|setenv|exit|_exit"
    r"|log_(set|error|warn|info|debug|write|emit|line|begin|end|field)\w*)$"
)
PURITY = "clock, randomness, I/O, threads and output stay out of the pure floors"
PURE_LIBRARIES = ("libjson.a", "libschema.a", "libmodel.a", "libexpr.a", "libengine.a")

MARKS = re.compile(
    r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b"
    r"|\bnot yet " + r"implemented\b|\bfor " + r"now\b"
)


class House:
    def __init__(self, root, libraries):
        self.root = os.path.abspath(root)
        self.libraries = libraries
        self.files = sorted(self._walk())
        self._lines = {}

    def _walk(self):
        """The files that git has or would take; all that are there where there is no git (a tarball)."""
        command = ["git", "-C", self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = shutil.which("git") and subprocess.run(command, capture_output=True, check=False)
        if listed and listed.returncode == 0:
            for name in listed.stdout.decode().split("\0"):
                if name and os.path.isfile(os.path.join(self.root, name)):
                    yield name
            return
        for folder, dirs, names in os.walk(self.root):
            dirs[:] = [d for d in dirs if d not in SKIPPED_DIRS and not self._is_build(folder, d)]
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self.root)

    @staticmethod
    def _is_build(folder, name):
        return os.path.exists(os.path.join(folder, name, "meson-info"))

    def lines(self, name):
        if name not in self._lines:
            with open(os.path.join(self.root, name), encoding="utf-8", errors="replace") as f:
                self._lines[name] = f.read().splitlines()
        return self._lines[name]

    def sources(self, *endings):
        return [f for f in self.files if f.endswith(endings or (".c", ".cc", ".h"))]

    def texts(self):
        for f in self.files:
            base = os.path.basename(f)
            if "/corpus/" in f or "/golden/" in f or base == "package-lock.json":
                continue
            if f.endswith(TEXT_ENDINGS) or "." not in base:
                yield f


# ---- floors -----------------------------------------------------------------------------------------

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def includes(house, name):
    for number, line in enumerate(house.lines(name), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found.group(1) == "<", found.group(2)


def floor_of(name):
    best = None
    for folder in FLOORS:
        if name == folder or name.startswith(folder + "/"):
            if best is None or len(folder) > len(best):
                best = folder
    return best


def resolve(house, name, path):
    """Where an include of the project leads; None if it is no file of ours."""
    for base in (os.path.dirname(name), "src", "", "include"):
        candidate = os.path.normpath(os.path.join(base, path))
        if candidate in house.file_set:
            return candidate
    return None


def rule_floors(house):
    house.file_set = set(house.files)
    for name in house.sources():
        folder = floor_of(name)
        if folder is None:
            yield name, "lies in no folder that has a floor; tests/tidy/tidy.py names them"
            continue
        allowed = FLOORS[folder]
        for number, _, path in includes(house, name):
            target = resolve(house, name, path)
            if target is None or allowed is None:
                continue
            target_floor = floor_of(target)
            if target_floor == folder or target.startswith("include/"):
                continue
            if target_floor not in allowed and target not in allowed:
                may = ", ".join(sorted(allowed)) or "nothing of the project but include/"
                yield f"{name}:{number}", f"{folder} must not include {target}; it may include {may}"


def rule_third_party(house):
    house.file_set = set(house.files)
    for name in house.sources():
        if name.startswith("tests/"):
            continue
        for number, _, path in includes(house, name):
            if resolve(house, name, path):
                continue
            for header, places in THIRD_PARTY.items():
                if re.match(header, path) and not any(re.fullmatch(p, name) for p in places):
                    yield f"{name}:{number}", f"<{path}> is kept out of here; only {' '.join(places)} may include it"


def rule_pragma_once(house):
    for name in house.sources(".h"):
        if not any(line.strip() == "#pragma once" for line in house.lines(name)[:5]):
            yield f"{name}:1", "a header begins with #pragma once"


def rule_public_headers(house):
    """Public headers compile alone as C99 and as C++."""
    compilers = [("C99", ["cc", "-std=c99", "-xc"]), ("C++11", ["c++", "-std=c++11", "-xc++"])]
    for name in house.sources(".h"):
        if not name.startswith("include/"):
            continue
        for label, command in compilers:
            with tempfile.TemporaryDirectory() as scratch:
                unit = os.path.join(scratch, "alone")
                with open(unit, "w", encoding="utf-8") as f:
                    f.write(
                        f"#include <{os.path.relpath(name, 'include')}>\n"
                        f"#include <{os.path.relpath(name, 'include')}>\nint main(void);\n"
                    )
                done = subprocess.run(
                    [
                        *command,
                        "-Wall",
                        "-Wextra",
                        "-Werror",
                        "-pedantic",
                        "-fsyntax-only",
                        "-I",
                        os.path.join(house.root, "include"),
                        unit,
                    ],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    first = next(
                        (line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()
                    )
                    yield f"{name}:1", f"does not compile alone as {label}: {first}"


# ---- the pure core ----------------------------------------------------------------------------------


def rule_pure_objects(house):
    if not house.libraries:
        yield "tests/tidy/meson.build", "no libraries were given to look into"
    for library in house.libraries:
        base = os.path.basename(library)
        if base not in PURE_LIBRARIES:
            yield library, f"is not one of {' '.join(PURE_LIBRARIES)}"
            continue
        shown = subprocess.run(
            ["nm", "--undefined-only", "--format=posix", library], capture_output=True, text=True, check=False
        )
        if shown.returncode:
            yield library, f"nm fails: {shown.stderr.strip()}"
            continue
        member = base
        n_symbols = 0
        for line in shown.stdout.splitlines():
            if line.endswith("]:") or line.endswith(":"):
                member = line.rstrip(":")
                continue
            symbol = line.split()[0] if line.split() else ""
            n_symbols += bool(symbol)
            where = os.path.basename(member).removesuffix("]").removesuffix(".o")
            if FORBIDDEN_SYMBOLS.match(symbol):
                yield f"{base}({where})", f"calls {symbol}(); {PURITY}"
        if n_symbols == 0:
            yield library, "has no undefined symbols at all: nothing was looked at"


# ---- papers -----------------------------------------------------------------------------------------


def rule_top_level(house):
    for entry in sorted({f.split("/")[0] for f in house.files}):
        if entry not in TOP_LEVEL and not entry.startswith("."):
            yield entry, f"the top level holds only {' '.join(sorted(TOP_LEVEL))} and dotfiles"


def needs_readme(folder):
    parts = folder.split("/")
    if "corpus" in parts or "golden" in parts or parts[0].startswith("."):
        return False
    if parts[0] == "tests" and parts[1:2] != ["tools"]:
        return len(parts) <= 2  # tests/unit mirrors the tree and explains it once
    if parts[0] == "deploy":
        return len(parts) <= 2
    if parts[0] == "include":
        return False  # include/README.md speaks for include/runbook, and the link check knows it
    return True


def rule_readmes(house):
    folders = set()
    for name in house.files:
        folder = os.path.dirname(name)
        while folder:
            folders.add(folder)
            folder = os.path.dirname(folder)
    for folder in sorted(folders):
        own = [f for f in house.files if os.path.dirname(f) == folder]
        if needs_readme(folder) and own and f"{folder}/README.md" not in house.files:
            yield f"{folder}/", "has no README.md that says what lives here, what may include it, how to add one more"


LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def rule_links(house):
    known = set(house.files)
    folders = {os.path.dirname(f) for f in house.files}
    for name in house.files:
        if not name.endswith(".md"):
            continue
        for number, line in enumerate(house.lines(name), 1):
            for target in LINK.findall(line):
                if re.match(r"[a-z]+:", target):
                    continue
                path = os.path.normpath(os.path.join(os.path.dirname(name), target))
                if (
                    path not in known
                    and path not in folders
                    and not any(f.startswith(path + "/") for f in folders)
                ):
                    yield f"{name}:{number}", f"links to {target}, which is not there"


SUBJECT_TABLE = re.compile(
    r"\b\w*(?:verbs|queries|commands|families|subjects|handlers|routes)\w*\[\]\s*=\s*\{", re.IGNORECASE
)
TABLE_NAME = re.compile(
    r'^\s*\{\s*(?:\.(?:name|verb|what|token)\s*=\s*)?(?:S(?:LICE)?\w*\()?"([a-z$][A-Za-z$.-]*)"'
)


def rule_subjects(house):
    """Every name in a table of subjects/*.c stands, as `name`, in subjects/README.md."""
    documents = "\n".join(
        "\n".join(house.lines(f)) for f in house.files if f.startswith("subjects/") and f.endswith(".md")
    )
    n_names = 0
    for name in house.sources(".c"):
        if not name.startswith("subjects/"):
            continue
        inside = False
        for number, line in enumerate(house.lines(name), 1):
            if SUBJECT_TABLE.search(line):
                inside = True
            if inside:
                found = TABLE_NAME.match(line)
                if found:
                    n_names += 1
                    if not re.search(r"[`.{,|]" + re.escape(found.group(1)) + r"\b", documents):
                        yield f"{name}:{number}", f"the subject {found.group(1)} is not in subjects/README.md"
                if line.startswith("};"):
                    inside = False
    if n_names == 0:
        yield "subjects/", "no table of subjects was found in subjects/*.c: this check looks at nothing"


LIMITS_PAGE = "subjects/limits.md"
LIMIT_ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \| ([0-9.]+) \|")
NUMBER_DEFINE = re.compile(r"^#define ([A-Z][A-Z0-9_]+)\s+(.+?)\s*(?:/\*.*)?$")
NUMBER_SETTING = re.compile(r'\{"([A-Z_]+)", SETTING_NUMBER, AT\([a-z_]+\), "(\d+)"')
SETTING_IS_LIMIT = re.compile(r"_MAX$|_TTL_MS$|_CONCURRENCY$|_OPEN_MAX$|_PERCENT$")
LIMIT_WORD = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
OTHER_HOUSES = ("src/gateway/", "src/client/", "src/cli/")  # programs with limits and pages of their own


def number_of(text, known):
    """The value of a #define that is arithmetic over numbers and other such #defines; None if it is not."""
    text = re.sub(r"\((?:size_t|u?int\d*_t|unsigned|double|long)\)", "", text)
    text = re.sub(r"\b(\d+(?:\.\d+)?(?:e\d+)?)(?:ULL|LL|UL|U|L|u)\b", r"\1", text)
    text = re.sub(r"\b[A-Z][A-Z0-9_]+\b", lambda m: str(known.get(m.group(0), "?")), text)
    if not re.fullmatch(r"[\d\s()+*/.<>e-]+", text):
        return None
    try:
        return eval(text, {"__builtins__": {}})  # digits, brackets and operators only
    except (SyntaxError, TypeError, ZeroDivisionError):
        return None


def numbers_of(house):
    """Numeric #defines and settings of the engine: name → {value}, and where settings are."""
    lines, known = [], {}
    for name in house.sources(".c", ".h"):
        if not name.startswith(("src/", "storage/", "subjects/")) or name.startswith(OTHER_HOUSES):
            continue
        whole = "\n".join(house.lines(name)).replace("\\\n", " ")
        lines += [m for m in map(NUMBER_DEFINE.match, whole.split("\n")) if m]
    values = {}
    for _ in range(3):  # one may stand on another
        for m in lines:
            value = number_of(m.group(2), known)
            if value is not None:
                known[m.group(1)] = value
    for m in lines:
        value = number_of(m.group(2), known)
        if value is not None:
            values.setdefault(m.group(1), set()).add(value)
    table = "\n".join(house.lines("src/daemon/config.c"))
    settings = {name: int(value) for name, value in NUMBER_SETTING.findall(table)}
    return values, settings


def limits_named(house):
    """Names of numbers in the sentences of the engine: they are what people will look up."""
    for name in house.sources(".c"):
        if not name.startswith(("src/", "storage/", "subjects/")) or name.startswith(OTHER_HOUSES):
            continue
        for number, line in enumerate(house.lines(name), 1):
            for literal in re.findall(r'"(?:\\.|[^"\\])*"', line):
                for word in LIMIT_WORD.findall(literal):
                    yield f"{name}:{number}", word
            for word in re.findall(r"LIMIT_NAMED\((\w+)\)", line):
                yield f"{name}:{number}", word


def rule_limits(house):
    """subjects/limits.md has every limit that a sentence can name, with the value that it has."""
    values, settings = numbers_of(house)
    rows = {}
    for number, line in enumerate(house.lines(LIMITS_PAGE), 1):
        row = LIMIT_ROW.match(line)
        if row:
            rows[row.group(1)] = (number, float(row.group(2)))
    for name, (number, value) in rows.items():
        real = {settings[name]} if name in settings else values.get(name, set())
        if not real:
            yield f"{LIMITS_PAGE}:{number}", f"{name} is neither a setting nor a number of the source"
        elif {float(v) for v in real} != {value}:
            yield f"{LIMITS_PAGE}:{number}", f"{name} is {sorted(real)}, not {value:g}"
    wanted = {n: "src/model/limits.h" for n in values if n.startswith("LIMIT_")}
    wanted.update({n: "src/daemon/config.c" for n in settings if SETTING_IS_LIMIT.search(n)})
    wanted.update({word: place for place, word in limits_named(house) if word in values})
    for name, place in sorted(wanted.items()):
        if name not in rows:
            yield place, f"the limit {name} is not in {LIMITS_PAGE}"
    if len(rows) < 50:
        yield LIMITS_PAGE, "hardly any row was found: this check looks at nothing"


def rule_sizes(house):
    for name in house.texts():
        if name == "LICENSE" or "/vendor/" in name:
            continue
        lines = house.lines(name)
        if name.endswith((".c", ".h", ".py", ".js")) and len(lines) > FILE_LINES_MAX:
            yield f"{name}:{len(lines)}", f"{len(lines)} lines; more than {FILE_LINES_MAX} are more than one idea"
        if name.endswith((".md", ".json", ".yaml", ".yml")):
            continue
        for number, line in enumerate(lines, 1):
            if len(line.expandtabs(8)) > LINE_COLUMNS_MAX:
                yield f"{name}:{number}", f"{len(line.expandtabs(8))} columns; the cap is {LINE_COLUMNS_MAX}"


def rule_whitespace(house):
    for name in house.sources():
        for number, line in enumerate(house.lines(name), 1):
            if line != line.rstrip():
                yield f"{name}:{number}", "ends in blanks"
            if "\t" in line:
                yield f"{name}:{number}", "has a tab; indent with spaces"


def rule_marks(house):
    for name in house.texts():
        for number, line in enumerate(house.lines(name), 1):
            found = MARKS.search(line)
            if found:
                yield f"{name}:{number}", f"left-over mark: {found.group(0)}"


HOME_PATH = re.compile(r"(?<![\w.$}])/(?:home|root|Users)/\w")
REGISTRY = re.compile(r'"resolved":')


def rule_strangers(house):
    """Nothing of one person's machine is in the project: home directories, hosts that packages came from."""
    for name in house.texts():
        for number, line in enumerate(house.lines(name), 1):
            if HOME_PATH.search(line) and not name.startswith("tests/tidy/"):
                yield f"{name}:{number}", "names somebody's home directory"
    for name in house.files:
        if os.path.basename(name) == "package-lock.json":
            for number, line in enumerate(house.lines(name), 1):
                if REGISTRY.search(line):
                    yield f"{name}:{number}", "names the host that a package came from"


def rule_executable(house):
    """Scripts with a #! line can be run, and nothing else is executable."""
    for name in house.files:
        path = os.path.join(house.root, name)
        with open(path, "rb") as f:
            is_script = f.read(2) == b"#!"
        may_run = os.access(path, os.X_OK)
        if is_script and not may_run:
            yield f"{name}:1", "begins with #! but is not executable"
        if may_run and not is_script:
            yield name, "is executable but has no #! line"


RULES = [
    ("files include only the floors below them", rule_floors),
    ("third-party headers are included in their one place", rule_third_party),
    ("headers begin with #pragma once", rule_pragma_once),
    ("public headers stand alone as C99 and C++", rule_public_headers),
    ("the pure floors call no clock, randomness, I/O, threads", rule_pure_objects),
    ("the top level holds what it should", rule_top_level),
    ("every folder explains itself", rule_readmes),
    ("links in the papers lead somewhere", rule_links),
    ("every subject is documented", rule_subjects),
    ("every limit that a sentence names is documented, with its value", rule_limits),
    ("files and lines keep to their sizes", rule_sizes),
    ("no tabs and no trailing blanks", rule_whitespace),
    ("no left-over marks", rule_marks),
    ("nothing of one person's machine is in the tree", rule_strangers),
    ("scripts are executable", rule_executable),
]


def main(arguments):
    if not arguments or arguments[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    libraries = arguments[2:] if arguments[1:2] == ["--libs"] else []
    house = House(arguments[0], libraries)
    print(f"1..{len(RULES)}")
    n_failed = 0
    for number, (title, rule) in enumerate(RULES, 1):
        faults = list(rule(house))
        n_failed += bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - {title}")
        for place, sentence in faults:
            print(f"# {place}: {sentence}")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
