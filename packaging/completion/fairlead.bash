# SPDX-License-Identifier: Apache-2.0
#
# bash completion; tests/commands checks it against --help.
_fairlead_words() {
  case "$1" in
    fairlead) echo "service client integrity guest lab --help --version" ;;
    fairlead-service) echo "start stop status --name --config --print-config --help --version
      --image --cache-bytes --idle-timeout --poll --queue-depth --max-clients --max-slots
      --max-data --engine --foreground --no-sandbox --output --watch" ;;
    fairlead-client) echo "--name --pattern --duration --poll --reconnect --seed --weight --output
      --no-files --help --version" ;;
    fairlead-integrity) echo "--output --help --version" ;;
    fairlead-guest) echo "build headers lock --lock --cache --output --uml --headers --help
      --version" ;;
    fairlead-lab) echo "up ls load console down libvirtd --uri --name --output --vms --vcpus
      --memory --max --pin --accel --lock --disk --all --stop --private --help --version" ;;
  esac
}

_fairlead() {
  local word=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]##*/}
  if [[ $program == fairlead && $COMP_CWORD -gt 1 ]]; then
    program=fairlead-${COMP_WORDS[1]}
  fi
  case "${COMP_WORDS[COMP_CWORD - 1]}" in
    --image | --config | --lock | --cache | --private) mapfile -t COMPREPLY < <(compgen -f -- "$word") ; return ;;
    --engine) mapfile -t COMPREPLY < <(compgen -W "auto uring pool" -- "$word") ; return ;;
    --accel) mapfile -t COMPREPLY < <(compgen -W "auto kvm tcg" -- "$word") ; return ;;
    -o | --output) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$word") ; return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$(_fairlead_words "$program")" -- "$word")
  if [[ $program == fairlead-integrity && $word != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}

complete -F _fairlead fairlead fairlead-service fairlead-client fairlead-integrity fairlead-guest \
  fairlead-lab
