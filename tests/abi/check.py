#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The layouts that two processes share change only on purpose.

  check.py golden PROGRAM GOLDEN     PROGRAM prints what GOLDEN holds
  check.py complete HEADERS GOLDEN   GOLDEN names every struct, field, enumerator and constant of
                                     the headers, and nothing else; no type without a width
  check.py planted PROJECT COMPILER  changes planted in a copy of the headers are found by the above
"""
import difflib
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
STRUCT = re.compile(r"\bstruct\s+(?:alignas\([^)]*\)\s+)?(\w+)\s*\{(.*?)\n\};", re.DOTALL)
FIELD = re.compile(r"^\s*([\w:<>]+)\s+(\w+)(?:\[\w+\])?\s*(?:\{[^}]*\})?$")
ENUM = re.compile(r"\benum\s+(?:class\s+)?(\w+)\s*(?::\s*([\w:]+))?\s*\{(.*?)\}", re.DOTALL)
CONST = re.compile(r"\bconstexpr\s+[\w:]+\s+(\w+)\s*=")
WIDTH = re.compile(r"^(?:std::u?int(?:8|16|32|64)_t|char)$")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def golden(program, path):
    result = subprocess.run([program], capture_output=True, encoding="utf-8", check=False)
    if result.returncode != 0:
        return [result.stderr.strip()]
    lines = difflib.unified_diff(read(path).splitlines(), result.stdout.splitlines(),
                                 "tests/abi/layout.golden", "the headers now", lineterm="")
    found = list(lines)
    if found:
        found += ["", "A layout that other processes rely on has changed.  If that is meant, raise",
                  f"the version in its header, say so in CHANGELOG.md, and: {program} > {path}"]
    return found


def names_of_golden(text):
    names = set()
    owner = None
    for line in text.splitlines():
        if match := re.match(r"(struct|enum|const) (\w+)  ", line):
            names.add(match.group(2))
            owner = match.group(2)
        elif match := re.match(r"  .*  (\w+)$", line):
            names.add(f"{owner}::{match.group(1)}")
    return names


def names_of_header(path, found):
    text = COMMENT.sub("", read(path))
    header = os.path.basename(path)
    structs = STRUCT.findall(text)
    enums = ENUM.findall(text)
    own = {name for name, _ in structs} | {name for name, _, _ in enums}
    names = set(CONST.findall(text)) | own
    for name, body in structs:
        for declaration in filter(str.strip, body.replace("\n", " ").split(";")):
            match = FIELD.match(declaration)
            bare = re.sub(r"^std::atomic<(.*)>$", r"\1", match.group(1)) if match else ""
            if not match or not (WIDTH.match(bare) or bare in own):
                found.append(f"{header}: {name}: no field of fixed width: {declaration.strip()}")
            else:
                names.add(f"{name}::{match.group(2)}")
    for name, width, body in enums:
        if not WIDTH.match(width):
            found.append(f"{header}: enum {name} has no fixed width")
        names |= {f"{name}::{value}" for value in re.findall(r"(\w+)\s*(?:=[^,]*)?(?:,|$)", body)}
    # What the patterns above do not understand must not pass for nothing.
    for kind, count in (("struct", len(structs)), ("enum", len(enums))):
        if len(re.findall(rf"\b{kind}\b", text)) != count:
            found.append(f"{header}: a {kind} that tests/abi/check.py cannot read")
    for word in ("union", "class", "typedef", "#define"):
        if re.search(rf"{word}\b", text.replace("enum class", "enum")):
            found.append(f"{header}: '{word}' has no place in a layout header")
    return names


def complete(headers, path):
    found = []
    names = set()
    for header in sorted(glob.glob(os.path.join(headers, "*.h"))):
        names |= names_of_header(header, found)
    listed = names_of_golden(read(path))
    found += [f"{name} is in no layout: name it in tests/abi/layout.cc and tests/abi/layout.golden"
              for name in sorted(names - listed)]
    found += [f"{name} stands in layout.golden but in no header" for name in sorted(listed - names)]
    return found


# Header, text, what replaces it, and which of the checks has to find it.
PLANTED = [
    ("segment.h", "kMaxSections = 8", "kMaxSections = 9", "golden"),
    ("segment.h", "kData = 4", "kData = 5", "golden"),
    ("segment.h", "std::uint32_t reserved;  //  4", "std::uint32_t spare;  //  4", "complete"),
    ("segment.h", "struct Section {", "struct Other {\n  std::uint8_t x;\n};\nstruct Section {",
     "complete"),
    ("segment.h", "  kData = 4,", "  kData = 4,\n  kMore = 5,", "complete"),
    ("segment.h", "inline constexpr std::uint32_t kMaxSections",
     "inline constexpr std::uint8_t kNew = 1;\ninline constexpr std::uint32_t kMaxSections",
     "complete"),
    ("segment.h", "enum class SectionKind : std::uint32_t", "enum class SectionKind", "complete"),
    ("ring.h", "std::uint32_t request_bytes;   //  4  stride of a request\n"
     "  std::uint32_t response_bytes;", "std::uint32_t response_bytes;\n"
     "  std::uint32_t request_bytes;", "golden"),
    ("ring.h", "struct alignas(64) RingShape", "struct RingShape", "golden"),
    ("block.h", "  std::uint32_t thread; ", "  std::uint16_t hint;\n  std::uint16_t thread; ",
     "complete"),
    ("block.h", "std::uint8_t flags; ", "bool flags; ", "complete"),
    ("block.h", "std::uint8_t flags; ", "std::uint8_t flags : 4; ", "complete"),
    ("control.h", "std::uint16_t kControlMinor = 0", "std::uint32_t kControlMinor = 0", "golden"),
    ("control.h", "std::uint32_t reason;    // 16  an errno", "std::uint16_t reason;", "golden"),
]


def find_planted(project, compiler, folder, kind):
    abi = os.path.join(folder, "include", "fairlead", "abi")
    path = os.path.join(project, "tests", "abi", "layout.golden")
    if kind == "complete":
        return bool(complete(abi, path))
    program = os.path.join(folder, "layout")
    # The headers' own assertions are taken out: here the golden text has to find it alone.
    command = [compiler, "-std=c++23", "-O0", "-Dstatic_assert(...)=", "-o", program,
               "-I" + os.path.join(folder, "include"),
               "-include", "atomic", "-include", "cstdio", "-include", "cstddef",
               os.path.join(project, "tests", "abi", "layout.cc")]
    subprocess.run(command, check=True)
    return bool(golden(program, path))


def planted(project, compiler):
    found = []
    source = os.path.join(project, "include")
    for header, old, new, kind in PLANTED:
        folder = tempfile.mkdtemp(prefix="fairlead-abi-")
        try:
            shutil.copytree(source, os.path.join(folder, "include"))
            path = os.path.join(folder, "include", "fairlead", "abi", header)
            text = read(path)
            if text.count(old) != 1:
                found.append(f"{header}: nothing to plant on: {old!r}")
                continue
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace(old, new))
            if not find_planted(project, compiler, folder, kind):
                found.append(f"{header}: '{kind}' does not see {old!r} become {new!r}")
        finally:
            shutil.rmtree(folder)
    return found


def main():
    checks = {"golden": golden, "complete": complete, "planted": planted}
    if len(sys.argv) != 4 or sys.argv[1] not in checks:
        print(__doc__)
        return 2
    found = checks[sys.argv[1]](*sys.argv[2:])
    print("\n".join(found) or "as it should be")
    return 1 if found else 0


sys.exit(main())
