prepare() {
  AWS_PAGER='' PYTHONUTF8=1
  export AWS_PAGER PYTHONUTF8
}

fetch() {
  secret_id=$1 stage_or_id=$2
  # The first letter of the answer tells text from bytes in base64; a line end follows.
  case $secret_id in
    arn:*:ssm:*)
      set -- ssm get-parameter --with-decryption --name="$1${2:+:$2}" --query="join('', ['s', Parameter.Value])"
      ;;
    *)
      set -- secretsmanager get-secret-value --secret-id="$1" \
        --query="SecretBinary && join('', ['b', SecretBinary]) || join('', ['s', SecretString])"
      # An id is 32 to 64 characters long; labels such as AWSPREVIOUS are shorter.
      if [ "${#stage_or_id}" -ge 32 ]; then
        set -- "$@" --version-id="$stage_or_id"
      elif [ -n "$stage_or_id" ]; then
        set -- "$@" --version-stage="$stage_or_id"
      fi
      ;;
  esac
  case $secret_id in
    arn:*:*:*:*)
      region=${secret_id#arn:*:*:}
      set -- "$@" --region="${region%%:*}"
      ;;
  esac
  # The CLI tries twice more itself. An address that does not answer would take a minute each time.
  aws "$@" --cli-connect-timeout=10 --output=text > "$work/answer" && size=$(wc -c < "$work/answer") || return 1
  case $(head -c 1 < "$work/answer") in
    b) tail -c +2 < "$work/answer" | base64 -d > "$work/value" ;;
    s) tail -c +2 < "$work/answer" | head -c "$((size - 2))" > "$work/value" ;;
    *) return 1 ;;
  esac
}

# The service names its error in parentheses: there is no such secret, or no right to it
# (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html#API_GetSecretValue_Errors,
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html#API_GetParameter_Errors).
is_final() {
  case $1 in
    *'(AccessDenied'* | *'(InvalidParameterException)'* | *'(InvalidRequestException)'* | *'(InvalidKeyId)'* | \
      *'(ValidationException)'*) ;;
    *) is_missing "$1" ;;
  esac
}

is_missing() {
  case $1 in
    *'(ResourceNotFoundException)'* | *'(ParameterNotFound)'* | *'(ParameterVersionNotFound)'*) ;;
    *) return 1 ;;
  esac
}

fetch_all "$@"
