# Here SECRET lists the names of a secret in all scopes, the closest first. The first that exists counts. Only a client that
# says that there is no such secret is asked for the next one.
fetch_value() {
  for name in $1; do
    rm -f "$work/value" "$work/typed"
    if fetch "$name" "$2" 2> "$work/error" && [ -f "$work/value" ]; then
      untyped
      return
    fi
    is_missing "$(cat < "$work/error")" || break
  done
  cat < "$work/error" >&2
  return 1
}

# In Azure, Flyte keeps a JSON object: text, or bytes in base64.
untyped() {
  [ "$0" = azure ] || return 0
  mv "$work/value" "$work/typed"
  type=$(python3 -Ic "$TAKE_FIELD" type < "$work/typed") &&
    python3 -Ic "$TAKE_FIELD" value < "$work/typed" > "$work/text" || return 1
  case $type in
    STRING) mv "$work/text" "$work/value" ;;
    BINARY) base64 -d < "$work/text" > "$work/value" ;;
    *) return 1 ;;
  esac
}
