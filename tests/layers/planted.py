#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants each kind of violation in a small tree and expects scripts/check-layers to name it.

  planted.py PROJECT
"""
import os
import shutil
import subprocess
import sys
import tempfile

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
PLAIN = SPDX + "#pragma once\n#include <vector>\nnamespace fairlead::base {\n}\n"

TABLE = """# SPDX-License-Identifier: Apache-2.0
abi : include/fairlead/abi :
base : src/base :
shm : src/shm : abi base
disk : src/disk : base
apps : apps : abi base shm disk
"""

# A clean tree: layers one above the other, and an app.
CLEAN = {
    "cmake/modules.table": TABLE,
    "include/fairlead/abi/ring.h": SPDX + "#include <atomic>\nnamespace fairlead::abi {\n}\n",
    "src/base/a.h": PLAIN,
    "src/shm/s.h": SPDX + '#include "base/a.h"\n#include "fairlead/abi/ring.h"\n',
    "src/shm/s_test.cc": SPDX + '#include <gtest/gtest.h>\n#include "shm/s.h"\n'
                         "namespace fairlead::shm {\nnamespace {\n"
                         "namespace fs = std::filesystem;\n}\n}\n",
    "src/disk/d.h": SPDX + '/* #include "shm/s.h" */\n'
                    'const char* text = R"(\n#include "x.h"\n)";\n',
    "apps/tool.cc": SPDX + '#include "disk/d.h"\n#include "shm/s.h"\nint main() {}\n',
    "tests/t.cc": SPDX + '#include "shm/s.h"\n',
    "scripts/run": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n",
    "src/base/long.cc": SPDX + "// Long because: a table of constants\n" + "//\n" * 700,
}

# What is planted: file, content, what the finding says.
PLANTED = [
    ("src/base/up.cc", SPDX + '#include "disk/d.h"\n',
     "src/base/up.cc:2: base includes disk/d.h; its row"),
    ("src/disk/sideways_test.cc", SPDX + '#include "shm/s.h"\n',
     "src/disk/sideways_test.cc:2: disk includes shm/s.h; its row"),
    ("src/disk/angle_bench.cc", SPDX + "#include <shm/s.h>\n", "angle_bench.cc:2: disk includes"),
    ("src/disk/layout.h", SPDX + "#include <fairlead/abi/ring.h>\n", "layout.h:2: disk includes"),
    ("src/disk/layout_fuzz.cc", SPDX + '#  include "fairlead/abi/ring.h"\n', "disk includes"),
    ("apps/none.cc", SPDX + '#include "shm/gone.h"\n', "none.cc:2: shm/gone.h does not exist"),
    ("src/base/none.cc", SPDX + '#include "gone.h"\n', "none.cc:2: gone.h does not exist"),
    ("include/fairlead/abi/fat.h", SPDX + "#include <vector>\n",
     "abi/fat.h:2: abi includes vector; it may include only"),
    ("include/fairlead/abi/up.h", SPDX + '#include "base/a.h"\n', "abi includes base/a.h"),
    ("src/attic/a.h", PLAIN, "src/attic/a.h:1: in no module"),
    ("src/stray.h", PLAIN, "src/stray.h:1: in no module"),
    ("include/fairlead/other.h", PLAIN, "other.h:1: in no module"),
    ("src/base/bare.cc", "int x;\n", "bare.cc:1: no line SPDX"),
    ("scripts/bare", "#!/bin/sh\n", "scripts/bare:1: no line SPDX"),
    ("src/base/wide.cc", SPDX + "//" + "x" * 99 + "\n", "wide.cc:2: 101 columns"),
    ("src/base/wide2.cc", SPDX + "//" + "é" * 99 + "\n", "wide2.cc:2: 101 columns"),
    ("src/base/tall.cc", SPDX + "//\n" * 600, "tall.cc:601: 601 lines: split it"),
    ("src/base/tall2.cc", SPDX + "// Long because:\n" + "//\n" * 600, "tall2.cc:602: 602 lines"),
    ("src/base/other.cc", SPDX + "namespace fairlead::disk {\n}\n",
     "other.cc:2: namespace fairlead::disk; here it is fairlead::base"),
    ("src/base/deep.cc", SPDX + "namespace fairlead::base::inner {\n}\n", "deep.cc:2: namespace"),
    ("src/base/nested.cc", SPDX + "namespace fairlead::base {\nnamespace detail {\n}\n}\n",
     "nested.cc:3: namespace detail"),
    ("src/base/foreign.cc", SPDX + "namespace std {\n}\n", "foreign.cc:2: namespace std"),
    ("src/base/old.cc", SPDX + "inline namespace v1\n{\n}\n", "old.cc:2: namespace v1"),
    ("cmake/modules.table", TABLE.replace(": abi base\n", ": abi disk base\n"),
     "modules.table:4: shm uses disk, which is no row above"),
    ("cmake/modules.table", TABLE + "sim : src/sim\n", "modules.table:7: a row"),
]


def write(root, name, content):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)


def run(script, root):
    result = subprocess.run([sys.executable, script, root], capture_output=True, text=True,
                            encoding="utf-8", check=False)
    return result.returncode, result.stdout + result.stderr


def main():
    script = os.path.join(sys.argv[1], "scripts", "check-layers")
    wrong = []
    folder = tempfile.mkdtemp(prefix="fairlead-layers-")
    try:
        for name, content in CLEAN.items():
            write(folder, name, content)
        status, output = run(script, folder)
        if status != 0 or output:
            wrong.append(f"a clean tree is refused:\n{output}")
        for name, content, finding in PLANTED:
            write(folder, name, content)
            status, output = run(script, folder)
            if status != 1 or finding not in output or len(output.splitlines()) != 1:
                wrong.append(f"{name}: expected one finding with '{finding}', got:\n{output}")
            os.remove(os.path.join(folder, name))
            if name in CLEAN:
                write(folder, name, CLEAN[name])
    finally:
        shutil.rmtree(folder)
    print("\n".join(wrong) or f"{len(PLANTED)} violations planted, all named")
    return 1 if wrong else 0


sys.exit(main())
