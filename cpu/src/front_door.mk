# SPDX-License-Identifier: Apache-2.0
#
# front_door(PROGRAM, SOURCE FOLDER, TOP OF THE TREE): builds the house, then the door.
define front_door
.PHONY: all clean house
all: house $(1)
house: ; @$$(MAKE) --no-print-directory -C $(3)
$(1): $(2)$(1).c
	$$(CC) -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o $$@ $$<
clean: ; @rm -f $(1)
endef
