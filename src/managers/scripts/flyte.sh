set -eu
umask 022
last=
while [ $# -gt 0 ]; do
  mode=${1%%/*}
  path=${1#"$mode"}
  if [ "$1" != "$last" ]; then
    mkdir -p "${path%/*}"
    rm -f "$path"
    : > "$path"
    last=$1
  fi
  printf %s "$2" | base64 -d >> "$path"
  if [ "${3-}" != "$1" ]; then chmod "${mode:-644}" "$path"; fi
  shift 2
done
