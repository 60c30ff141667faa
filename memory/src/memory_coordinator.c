/* SPDX-License-Identifier: Apache-2.0
 *
 * The front door that document 001 names: `./memory_coordinator 2` runs `fairlead-memory 2`, which
 * is built in bin/ of this tree.  The work is in src/manage. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char kProgram[] = "fairlead-memory";

int main(int argc, char** argv) {
  (void)argc;
  char self[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length > 0) {
    self[length] = '\0';
    const char* folder = dirname(self);
    static const char* const kBins[] = {"../bin", "../../bin"};
    for (size_t i = 0; i < sizeof kBins / sizeof *kBins; ++i) {
      char path[2 * PATH_MAX];
      snprintf(path, sizeof path, "%s/%s/%s", folder, kBins[i], kProgram);
      execv(path, argv);
    }
  }
  execvp(kProgram, argv); /* installed */
  fprintf(stderr, "memory_coordinator: run %s: %s (build it: make)\n", kProgram, strerror(errno));
  return 1;
}
