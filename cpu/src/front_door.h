/* SPDX-License-Identifier: Apache-2.0
 *
 * What the programs that document 001 names have in common: each is a door to a program of bin/,
 * found from where the door stands, or else in PATH. */
#ifndef FAIRLEAD_FRONT_DOOR_H
#define FAIRLEAD_FRONT_DOOR_H

#include <errno.h>
#include <unistd.h>

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Becomes `program`; returns 1, and says why, if that cannot be. */
static int open_door(const char* door, const char* program, char** argv) {
  char self[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length > 0) {
    self[length] = '\0';
    const char* folder = dirname(self);
    static const char* const kBins[] = {"../bin", "../../bin"};
    for (size_t i = 0; i < sizeof kBins / sizeof *kBins; ++i) {
      char path[2 * PATH_MAX];
      snprintf(path, sizeof path, "%s/%s/%s", folder, kBins[i], program);
      execv(path, argv);
    }
  }
  execvp(program, argv); /* installed */
  fprintf(stderr, "%s: run %s: %s (build it: make)\n", door, program, strerror(errno));
  return 1;
}

#endif
