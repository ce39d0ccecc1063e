# fetch_all DIRECTORY [SECRET VERSION PATH NAME]...
#
# Fetches each SECRET and writes it to PATH, which lies in a memory volume. DIRECTORY is the first memory volume. Digits
# before the first slash of PATH are the mode of the file. With `?` before them, the secret may be missing: that takes
# optional.sh. Where NAME is given, it says what is written: see write_part.sh.
#
# Four functions are the manager's: `prepare`, `fetch SECRET VERSION`, which writes the value to $work/value, and
# `is_final MESSAGES` and `is_missing MESSAGES`, which tell from the client's messages that another try gives the same
# answer, and that there is no such secret. Needs a POSIX shell with cat, chmod, date, mkdir, mktemp, rm and sleep.
fetch_all() {
  umask 022
  # A run that was killed left its directory behind, tokens included.
  rm -rf "$1/.fetch-$0".*
  work=$(mktemp -d "$1/.fetch-$0.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  # The user that the container runs as may have no home, and the root file system may be read-only.
  HOME=$work TMPDIR=$work
  export HOME TMPDIR
  shift
  retried=0
  prepare
  failed=0 secret='' version='' there=''
  while [ $# -ge 4 ]; do
    if [ "$secret" != "$1" ] || [ "$version" != "$2" ] || [ -z "$there" ]; then
      secret=$1 version=$2 there=yes
      if ! retry fetch_value "$1" "$2"; then
        there=no
        complain "the secret $1${2:+, version $2,} could not be fetched; the messages above say why"
      fi
    fi
    case $there$3 in
      yes*) deliver "${3#\?}" "$4" ;;
      no\?*) go_without "${3#\?}" "$4" ;;
      *) false ;;
    esac || failed=1
    shift 4
  done
  exit "$failed"
}

fetch_value() {
  rm -f "$work/value"
  fetch "$1" "$2" && [ -f "$work/value" ]
}

# retry COMMAND...: runs it up to three times, because the first token of a new Pod may take some seconds. No try begins
# when the failed tries of this container and the pauses between them have taken 30 s.
retry() {
  began=$(date +%s) try=1 pause=3
  until "$@" 2> "$work/messages"; do
    cat < "$work/messages" >&2
    spent=$((retried + $(date +%s) - began))
    if [ "$try" -eq 3 ] || [ $((spent + pause)) -ge 30 ] || is_final "$(cat < "$work/messages")"; then
      retried=$spent
      return 1
    fi
    complain "try $try of 3 failed; the next one is in $pause s"
    sleep "$pause"
    try=$((try + 1)) pause=7
  done
  cat < "$work/messages" >&2
  if [ "$try" -gt 1 ]; then retried=$((retried + $(date +%s) - began)); fi
}

# deliver PATH NAME: writes $work/value for others to read, or what NAME says.
deliver() {
  mode=${1%%/*}
  set -- "${1#"$mode"}" "$2"
  if [ -n "$2" ]; then write_part "$1" "$2"; else write_file "$work/value" "$1"; fi
}

write_file() { mkdir -p "${2%/*}" && rm -f "$2" && (umask 077 && cat < "$1" > "$2") && chmod "${mode:-644}" "$2"; }

complain() { printf '%s\n' "$0: $1" >&2; }
