# What the stand-ins share. $STAND_INS holds `calls`, which they append to, and for each secret a directory with its
# `name` and its `value`, and with a file `binary` where the value is not text.

# note ARGUMENT...: appends a call, each argument ended by a NUL, the call by another one.
note() {
  for argument in "${0##*/}" "$@" ''; do printf '%s\0' "$argument"; done >> "$STAND_INS/calls"
}

# find_secret NAME: sets `found` to the secret's directory.
find_secret() {
  for found in "$STAND_INS"/secret-*; do
    IFS= read -r name < "$found/name" || :
    if [ "$name" = "$1" ]; then return 0; fi
  done
  printf '%s\n' "${0##*/}: no such secret" >&2
  exit 3
}

refuse() { printf '%s\n' "${0##*/}: $1" >&2; exit 2; }
