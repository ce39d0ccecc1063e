set -eu
umask 022
last=
while [ $# -gt 0 ]; do
  mode=${1%%/*}
  path=${1#"$mode"}
  if [ "$1" != "$last" ]; then
    mkdir -p "${path%/*}"
    if [ -n "$mode" ]; then rm -f "$path"; fi
    : > "$path"
    last=$1
  fi
  printf %s "$2" | base64 -d >> "$path"
  if [ -n "$mode" ] && [ "${3-}" != "$1" ]; then chmod "$mode" "$path"; fi
  shift 2
done
