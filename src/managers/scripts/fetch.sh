# fetch_all DIRECTORY [SECRET VERSION PATH NAME]...
#
# Fetches each SECRET and writes it to PATH, which lies in a memory volume: as it is, or, where NAME is given, as a line
# of a file of variables. `fetch SECRET VERSION` is the manager's; it writes the value to $work/value. DIRECTORY is the
# first memory volume. Needs a POSIX shell with cat, chmod, mkdir, mktemp and rm.
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
  prepare
  failed=0 secret='' version='' there=''
  while [ $# -ge 4 ]; do
    if [ "$secret" != "$1" ] || [ "$version" != "$2" ] || [ -z "$there" ]; then
      secret=$1 version=$2 there=yes
      rm -f "$work/value"
      if ! fetch "$1" "$2" || ! [ -f "$work/value" ]; then
        there=no
        complain "the secret $1${2:+, version $2,} could not be fetched; the messages above say why"
      fi
    fi
    if [ "$there" = no ] || ! deliver "$3" "$4"; then failed=1; fi
    shift 4
  done
  exit "$failed"
}

# deliver PATH NAME: writes $work/value for others to read; a file of variables is read by the kubelet alone.
deliver() {
  mkdir -p "${1%/*}" || return 1
  if [ -z "$2" ]; then
    cat < "$work/value" > "$1" && chmod 644 "$1"
  else
    (umask 077 && rm -f "$1" && cat < /dev/null > "$1") && write_env "$2" "$work/value" "$1"
  fi
}

complain() { printf '%s\n' "$0: $1" >&2; }
