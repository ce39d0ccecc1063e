prepare() {
  AWS_PAGER='' PYTHONUTF8=1
  export AWS_PAGER PYTHONUTF8
}

fetch() {
  secret_id=$1 stage_or_id=$2
  set --
  # An id is 32 to 64 characters long; labels such as AWSPREVIOUS are shorter.
  if [ "${#stage_or_id}" -ge 32 ]; then
    set -- --version-id="$stage_or_id"
  elif [ -n "$stage_or_id" ]; then
    set -- --version-stage="$stage_or_id"
  fi
  case $secret_id in
    arn:*:*:*:*)
      region=${secret_id#arn:*:*:}
      set -- "$@" --region="${region%%:*}"
      ;;
  esac
  # The CLI tries twice more itself. An address that does not answer would take a minute each time.
  set -- "$@" --cli-connect-timeout=10
  # The first letter tells text from bytes in base64; a line end follows.
  aws secretsmanager get-secret-value --secret-id="$secret_id" "$@" --output=text \
    --query="SecretBinary && join('', ['b', SecretBinary]) || join('', ['s', SecretString])" > "$work/answer" &&
    size=$(wc -c < "$work/answer") || return 1
  case $(head -c 1 < "$work/answer") in
    b) tail -c +2 < "$work/answer" | base64 -d > "$work/value" ;;
    s) tail -c +2 < "$work/answer" | head -c "$((size - 2))" > "$work/value" ;;
    *) return 1 ;;
  esac
}

# The service names its error in parentheses: there is no such secret, or no right to it
# (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html#API_GetSecretValue_Errors).
is_final() {
  case $1 in
    *'(ResourceNotFoundException)'* | *'(AccessDenied'* | *'(InvalidParameterException)'* | \
      *'(InvalidRequestException)'* | *'(ValidationException)'*) ;;
    *) return 1 ;;
  esac
}

is_missing() {
  case $1 in *'(ResourceNotFoundException)'*) ;; *) return 1 ;; esac
}

fetch_all "$@"
