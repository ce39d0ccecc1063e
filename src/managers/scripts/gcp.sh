prepare() {
  CLOUDSDK_CONFIG=$work/gcloud CLOUDSDK_CORE_DISABLE_PROMPTS=1 CLOUDSDK_CORE_DISABLE_FILE_LOGGING=1
  CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK=1
  export CLOUDSDK_CONFIG CLOUDSDK_CORE_DISABLE_PROMPTS CLOUDSDK_CORE_DISABLE_FILE_LOGGING
  export CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK
}

fetch() {
  # gcloud remembers here for ten minutes that it did not reach the metadata server.
  rm -f "$CLOUDSDK_CONFIG/gce"
  case $1 in
    projects/*/locations/*)
      # gcloud wants the location beside the name, and asks the global endpoint, which has no regional secrets.
      set -- "${1#projects/*/locations/}" "$2" "$1"
      set -- "${1%%/*}" "${3%"/locations/$1"}/${1#*/}/versions/$2"
      CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER=https://secretmanager.$1.rep.googleapis.com/ \
        gcloud secrets versions access --out-file="$work/value" --location="$1" -- "$2"
      ;;
    */*) gcloud secrets versions access --out-file="$work/value" -- "$1/versions/$2" ;;
    *) gcloud secrets versions access --out-file="$work/value" --secret="$1" -- "$2" ;;
  esac
}

# Errors of the API itself; those of the metadata server, which gives the tokens, look otherwise.
is_final() {
  case $1 in
    *NOT_FOUND:* | *PERMISSION_DENIED:* | *FAILED_PRECONDITION:* | *INVALID_ARGUMENT:*) ;;
    *) return 1 ;;
  esac
}

is_missing() {
  case $1 in *NOT_FOUND:*) ;; *) return 1 ;; esac
}

fetch_all "$@"
