# write_part PATH NAME: writes $work/value as a line of a file of variables, NAME='value', which the kubelet alone reads. Behind
# NAME may stand a colon and a field, which is written in place of the whole secret. With a colon and a field alone, the field
# is the file; with `:*`, PATH becomes a directory with a file for each field.
write_part() {
  value=$work/value
  case $2 in
    ':*')
      rm -rf "$1" && mkdir -p "$1" || return 1
      python3 -Ic "$TAKE_FIELD" '*' "$1" < "$value" && return
      complain "the fields of the secret $secret could not be taken; the message above says why"
      return 1
      ;;
    *:*)
      value=$work/field
      if ! python3 -Ic "$TAKE_FIELD" "${2#*:}" < "$work/value" > "$value"; then
        complain "the field ${2#*:} of the secret $secret could not be taken; the message above says why"
        return 1
      fi
      ;;
  esac
  if [ -z "${2%%:*}" ]; then
    write_file "$value" "$1"
  else
    mkdir -p "${1%/*}" && (umask 077 && rm -f "$1" && cat < /dev/null > "$1") && write_env "${2%%:*}" "$value" "$1"
  fi
}
