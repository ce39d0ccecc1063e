# go_without PATH NAME: leaves PATH out where the client says that there is no such secret. To the kubelet, an empty file lacks
# the variable.
go_without() {
  is_missing "$(cat < "$work/messages")" || return 1
  complain "$secret is optional, so the Pod goes without it"
  set -- "/${1#*/}" "$2"
  rm -rf "$1"
  [ -z "${2%%:*}" ] || { mkdir -p "${1%/*}" && (umask 077 && cat < /dev/null > "$1"); }
}
