#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the completion offers, asked as bash asks it.   completion.sh SOURCE_DIR
set -euo pipefail
# shellcheck disable=SC1091  # it is checked by itself
source "$1/packaging/completion/fairlead.bash"
folder=$(mktemp -d "${TMPDIR:-/tmp}/fl-completion-XXXXXX")
trap 'rm -r -- "$folder"' EXIT
cd "$folder"
mkdir images
touch sectors.7
failed=0

# offers WORDS… : EXPECTED…: the last of WORDS is what is being typed.
offers() {
  COMP_WORDS=()
  while [ "$1" != : ]; do COMP_WORDS+=("$1"); shift; done
  shift
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  COMPREPLY=()
  _fairlead
  [ "${COMPREPLY[*]-}" = "$*" ] && return
  echo "after '${COMP_WORDS[*]}': '${COMPREPLY[*]-}', not '$*'"
  failed=1
}

offers fairlead s : service
offers fairlead service st : start stop status
offers fairlead-service stop -- : --output --name --help
offers service stop -- : --output --name --help
offers fairlead service --name x stop --o : --output
offers ./bin/service start --max-w : --max-weight
offers fairlead-service status --i :
offers ./bin/client 1 2 --pattern '' : uniform zipf: seq
offers client 1 2 -o '' : text json
offers tool_for_integrity s : sectors.7
offers fairlead integrity s : sectors.7
offers fairlead-service start --image i : images
offers fairlead reproduce '' : \
  001 003 004-disk --out --seed --rounds --case --output --help --version
offers fairlead-reproduce 001 --out i : images
offers fairlead mon : monitor
offers fairlead monitor m : memory
offers fairlead-monitor vcpu --r : --rounds
for name in fairlead fairlead-service fairlead-client fairlead-integrity fairlead-monitor \
  ./bin/service; do
  complete -p "$name" >/dev/null || failed=1
done
exit $failed
