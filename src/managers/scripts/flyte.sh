set -eu
umask 022
last=
while [ $# -gt 0 ]; do
  if [ "$1" != "$last" ]; then
    mkdir -p "${1%/*}"
    : > "$1"
    last=$1
  fi
  printf %s "$2" | base64 -d >> "$1"
  shift 2
done
