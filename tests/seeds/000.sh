#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The sequence of document 000, section 4, in a folder where ./bin holds the programs.
# Three clients at once; exit 0 only if everything is as the document says.
set -eu
line='^[0-9]+\|[0-9]+(\.[0-9]+)?\|[0-9]+\|[0-9]+(\.[0-9]+)?\|[0-9]+(\.[0-9]+)?$'

dd if=/dev/urandom of=disk1.img bs=1M count=4 status=none
./bin/service start
pids=
for threads in 1 4 8; do
  ./bin/client "$threads" 500 >"out.$threads" &
  pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
./bin/service stop
for threads in 1 4 8; do
  grep -Eq "$line" "out.$threads"
done
for pid in $pids; do
  [ "$(wc -l <"sectors.$pid")" -eq 500 ]
  ./bin/tool_for_integrity "sectors.$pid" "read.$pid" disk1.img
done
