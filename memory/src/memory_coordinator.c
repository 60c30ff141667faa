/* SPDX-License-Identifier: Apache-2.0
 *
 * The front door that document 001 names: `./memory_coordinator 2` runs `fairlead-memory 2`, which
 * is built in bin/ of this tree.  The work is in src/manage. */
#include "../../cpu/src/front_door.h"

int main(int argc, char** argv) {
  (void)argc;
  return open_door("memory_coordinator", "fairlead-memory", argv);
}
