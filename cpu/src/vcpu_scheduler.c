/* SPDX-License-Identifier: Apache-2.0
 *
 * The front door that document 001 names: `./vcpu_scheduler 2` runs `fairlead-vcpu 2`, which is
 * built in bin/ of this tree.  The work is in src/manage. */
#include "front_door.h"

int main(int argc, char** argv) {
  (void)argc;
  return open_door("vcpu_scheduler", "fairlead-vcpu", argv);
}
