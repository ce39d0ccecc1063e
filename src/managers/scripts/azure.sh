prepare() {
  AZURE_CONFIG_DIR=$work/azure AZURE_CORE_COLLECT_TELEMETRY=false PYTHONUTF8=1
  export AZURE_CONFIG_DIR AZURE_CORE_COLLECT_TELEMETRY PYTHONUTF8
  if [ -z "${AZURE_CLIENT_ID-}" ] || [ -z "${AZURE_TENANT_ID-}" ] || ! [ -r "${AZURE_FEDERATED_TOKEN_FILE-}" ]; then
    complain 'AZURE_CLIENT_ID, AZURE_TENANT_ID or the file AZURE_FEDERATED_TOKEN_FILE is missing: the Pod needs the
label azure.workload.identity/use: "true", its service account the annotation azure.workload.identity/client-id'
    exit 1
  fi
  az login --service-principal --username="$AZURE_CLIENT_ID" --tenant="$AZURE_TENANT_ID" \
    --federated-token="$(cat "$AZURE_FEDERATED_TOKEN_FILE")" --allow-no-subscriptions --output=none || {
    complain "the login as $AZURE_CLIENT_ID failed; the messages above say why"
    exit 1
  }
}

fetch() {
  # Without --encoding the secret's tag decides, and may have it decoded.
  az keyvault secret download --id="$1${2:+/$2}" --file="$work/value" --encoding=utf-8 --output=none
}

fetch_all "$@"
