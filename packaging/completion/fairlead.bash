# SPDX-License-Identifier: Apache-2.0
#
# bash completion; tests/docs/options.py checks it against --help, tests/docs/completion.sh asks it.
# To turn it on for programs that are not installed: source packaging/completion/fairlead.bash
_fairlead_words() {
  case "$1" in
    fairlead) echo "service client integrity disk trace vcpu memory monitor guest lab reproduce --help --version" ;;
    fairlead-service) echo "start stop status --name --config --print-config --help --version" ;;
    fairlead-service-start) echo "--image --cache-bytes --idle-timeout --poll --queue-depth
      --max-clients --max-slots --max-data --max-weight --engine --throttle --scheduler --k
      --disk-depth --disk-log --foreground --no-sandbox
      --name --config --print-config --help" ;;
    fairlead-service-stop) echo "--output --name --help" ;;
    fairlead-service-status) echo "--output --watch --name --help" ;;
    fairlead-client) echo "--name --pattern --duration --poll --reconnect --seed --weight --output
      --no-files --help --version" ;;
    fairlead-integrity) echo "--output --help --version" ;;
    fairlead-disk) echo "example schedulers drives simulate compare fit predict --drive --workload
      --requests --model --like --sectors --fifo --to --force --ran --loop --draws --warm-up --seed --processes --depth --slots --merge-sectors --tick --extra --clock-scale
      --files --files-alpha --files-least --zipf --size-log-mean --size-log-sigma --sleep-alpha
      --sleep-least --sleep-most --population --page-sectors --think --onwards --writes --rate
      --request-sectors --page-cache --read-ahead --trace --speed --scheduler --log --seeds --out
      --output --help --version" ;;
    fairlead-trace) echo "record report export import live --service --host --guest --file
      --duration --pair --plot --format --to --interval --rounds --output --help --version" ;;
    fairlead-vcpu) echo "--uri --once --dry-run --explain --output --config --record --replay --pcpus
      --restore --print-config --help --version" ;;
    fairlead-memory) echo "--uri --once --dry-run --explain --output --config --record --replay --pool
      --reserve --min --max --shares --print-config --help --version" ;;
    fairlead-monitor) echo "vcpu memory --uri --rounds --output --log --pcpus --help --version" ;;
    fairlead-guest) echo "build headers lock --lock --cache --output --uml --headers --help
      --version" ;;
    fairlead-lab) echo "up ls load run console down libvirtd --uri --name --output --vms --vcpus
      --memory --max --pin --accel --lock --disk --disk-path --relay --all --stop --private --help
      --version" ;;
    fairlead-reproduce) echo "001 003 004-disk --out --seed --rounds --case --output --help --version" ;;
  esac
}

_fairlead_files() {
  compopt -o filenames 2>/dev/null || true  # outside of a completion there is none
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_fairlead() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local program=${COMP_WORDS[0]##*/} first=1 w
  case "$program" in
    service | client) program=fairlead-$program ;;
    tool_for_integrity) program=fairlead-integrity ;;
  esac
  if [[ $program == fairlead && $COMP_CWORD -gt 1 ]]; then
    program=fairlead-${COMP_WORDS[1]}
    first=2
  fi
  if [[ $program == fairlead-service ]]; then
    for w in "${COMP_WORDS[@]:first:COMP_CWORD - first}"; do
      case "$w" in start | stop | status) program=fairlead-service-$w ; break ;; esac
    done
  fi
  # zipf:S is one word to us, and several to bash, which splits at the colon.
  case "$before" in
    --image | --config | --lock | --cache | --private | --record | --replay | --log | --disk-log | --trace | --out | --disk-path | --file | --plot | --to)
      _fairlead_files "$word" ; return ;;
    --accel) mapfile -t COMPREPLY < <(compgen -W "auto kvm tcg" -- "$word") ; return ;;
    --engine) mapfile -t COMPREPLY < <(compgen -W "auto uring pool" -- "$word") ; return ;;
    --pattern)
      mapfile -t COMPREPLY < <(compgen -W "uniform zipf: seq" -- "$word")
      [[ ${COMPREPLY[*]} != zipf: ]] || compopt -o nospace 2>/dev/null || true
      return ;;
    --model) mapfile -t COMPREPLY < <(compgen -W "linear mechanical rate" -- "$word") ; return ;;
    --loop) mapfile -t COMPREPLY < <(compgen -W "closed open" -- "$word") ; return ;;
    --format) mapfile -t COMPREPLY < <(compgen -W "blktrace ctf chrome" -- "$word") ; return ;;
    -o | --output) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$word") ; return ;;
  esac
  if [[ $program == fairlead-integrity && $word != -* ]]; then
    _fairlead_files "$word"
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$(_fairlead_words "$program")" -- "$word")
}

complete -F _fairlead fairlead fairlead-service fairlead-client fairlead-integrity fairlead-trace \
  fairlead-disk fairlead-vcpu fairlead-memory fairlead-monitor fairlead-guest fairlead-lab fairlead-reproduce
# The names in bin/, by their path only: `service` alone is Debian's.
complete -F _fairlead ./bin/service ./bin/client ./bin/tool_for_integrity bin/service bin/client \
  bin/tool_for_integrity
