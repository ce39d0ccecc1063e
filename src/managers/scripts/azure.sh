prepare() {
  AZURE_CONFIG_DIR=$work/azure AZURE_CORE_COLLECT_TELEMETRY=false PYTHONUTF8=1
  export AZURE_CONFIG_DIR AZURE_CORE_COLLECT_TELEMETRY PYTHONUTF8
  if [ -z "${AZURE_CLIENT_ID-}" ] || [ -z "${AZURE_TENANT_ID-}" ] || ! [ -r "${AZURE_FEDERATED_TOKEN_FILE-}" ]; then
    complain 'AZURE_CLIENT_ID, AZURE_TENANT_ID or the file AZURE_FEDERATED_TOKEN_FILE is missing: the Pod needs the
label azure.workload.identity/use: "true", its service account the annotation azure.workload.identity/client-id'
    exit 1
  fi
  retry login || {
    complain "the login as $AZURE_CLIENT_ID failed; the messages above say why"
    exit 1
  }
}

login() {
  az login --service-principal --username="$AZURE_CLIENT_ID" --tenant="$AZURE_TENANT_ID" \
    --federated-token="$(cat "$AZURE_FEDERATED_TOKEN_FILE")" --allow-no-subscriptions --output=none
}

fetch() {
  # Without --encoding the secret's tag decides, and may have it decoded.
  az keyvault secret download --id="$1${2:+/$2}" --file="$work/value" --encoding=utf-8 --output=none
}

# Key Vault names its error in parentheses, Entra gives it a number: it does not know the client or the tenant. A federated
# credential that it does not know (AADSTS70021) may be a new one.
is_final() {
  case $1 in
    *'(SecretNotFound)'* | *'(SecretDisabled)'* | *'(Forbidden)'* | *'(BadParameter)'* | \
      *AADSTS700016:* | *AADSTS90002:*) ;;
    *) return 1 ;;
  esac
}

is_missing() {
  case $1 in *'(SecretNotFound)'*) ;; *) return 1 ;; esac
}

fetch_all "$@"
