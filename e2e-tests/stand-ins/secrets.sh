# What the stand-ins share. $STAND_INS holds `calls`, which they append to, and for each secret a directory with its
# `name` and its `value`, and with a file `binary` where the value is not text.

# note ARGUMENT...: appends a call, each argument ended by a NUL, the call by another one.
note() {
  for argument in "${0##*/}" "$@" ''; do printf '%s\0' "$argument"; done >> "$STAND_INS/calls"
}

# find_secret NAME: sets `found` to the secret's directory, or fails as the client does with its messages `not_found`,
# `denied` and `unreachable`. A secret's directory may hold `denied`; `failures`, how many of the first calls fail; `slow`,
# how many seconds a call takes.
find_secret() {
  for found in "$STAND_INS"/secret-*; do
    [ -e "$found/name" ] || continue
    IFS= read -r name < "$found/name" || :
    if [ "$name" = "$1" ]; then
      take "$found"
      [ ! -e "$found/denied" ] || fail "$denied"
      return 0
    fi
  done
  fail "${not_found-no such secret}"
}

# take DIRECTORY: takes the seconds of its `slow`, and fails where its `failures` say so.
take() {
  if [ -e "$1/slow" ]; then sleep "$(cat "$1/slow")"; fi
  tries=$STAND_INS/tries-${1##*/}
  echo >> "$tries"
  [ ! -e "$1/failures" ] || [ "$(wc -l < "$tries")" -gt "$(cat "$1/failures")" ] || fail "$unreachable"
}

fail() { printf '%s\n' "$1" >&2; exit 3; }

refuse() { printf '%s\n' "${0##*/}: $1" >&2; exit 2; }
