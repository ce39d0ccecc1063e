# write_env NAME VALUE_FILE ENV_FILE
#
# Appends NAME='value' to ENV_FILE, with the bytes of VALUE_FILE as the value, so that the kubelet
# reads back the same value (KEP-3721). Fails with a message, and appends nothing, when it could
# not. Needs a POSIX shell with cat, od and wc; runs in a subshell, so it leaves no variable behind.
# Start with an empty ENV_FILE and give a name once: the kubelet takes the first of two.
write_env() (
  fail() { printf '%s\n' "variable $1: its value $2, which an env file cannot hold; ask for a file instead" >&2; exit 1; }
  unset IFS
  name=$1
  case $name in
    '' | [!A-Za-z_]* | *[!A-Za-z0-9_.-]*)
      printf '%s\n' "variable $name: not a name that an env file can hold" >&2; exit 1 ;;
  esac
  size=$(wc -c < "$2") && size=$((size)) || exit 1
  [ "$size" -gt 0 ] || fail "$name" 'is empty'
  [ "$size" -le 32768 ] || fail "$name" 'is longer than 32768 bytes'
  bytes=$(od -An -v -tu1 < "$2") || exit 1
  # `more` bytes of a UTF-8 sequence are still to come, the next one between `low` and `high`.
  more=0 low=128 high=191 last=0
  for byte in $bytes; do
    if [ "$more" -gt 0 ]; then
      [ "$byte" -ge "$low" ] && [ "$byte" -le "$high" ] || fail "$name" 'is not UTF-8'
      more=$((more - 1)) low=128 high=191
    elif [ "$byte" -lt 128 ]; then
      case $byte in
        0) fail "$name" 'has a NUL byte' ;;
        39) fail "$name" 'has a single quote' ;;
        10) [ "$last" -ne 13 ] || fail "$name" 'has a CR LF line end' ;;
      esac
    else
      case $byte in
        19[4-9] | 20[0-9] | 21[0-9] | 22[0-3]) more=1 ;;
        224) more=2 low=160 ;;
        237) more=2 high=159 ;;
        22[5-9] | 23[0-9]) more=2 ;;
        240) more=3 low=144 ;;
        24[1-3]) more=3 ;;
        244) more=3 high=143 ;;
        *) fail "$name" 'is not UTF-8' ;;
      esac
    fi
    last=$byte
  done
  [ "$more" -eq 0 ] || fail "$name" 'is not UTF-8'
  used=0
  if [ -e "$3" ]; then used=$(wc -c < "$3") || exit 1; fi
  [ $((used + ${#name} + size + 4)) -le 65535 ] || fail "$name" 'does not fit within 65535 bytes with the others'
  { printf "%s='" "$name" && cat < "$2" && printf "'\n"; } >> "$3"
)
