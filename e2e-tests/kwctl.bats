#!/usr/bin/env bats
# The annotated policy, evaluated by the real kwctl: `make e2e-tests`.
#
# e2e-tests/sessions holds the requests, the exchanges with the host and the responses that the embedded host has recorded;
# e2e-tests/tests/kwctl.rs does the same cases there, and says how to record them anew. `check NAME` needs a line of its own:
# that is how the Rust test sees that no case is left out.

bats_require_minimum_version 1.5.0

setup_file() {
  cd "$BATS_TEST_DIRNAME/.."
  # The policy is granted what it asks for in its metadata, and nothing else.
  capabilities="$(sed -n '/^hostCapabilities:/,/^[a-z]*:/s/^ *- //p' metadata.yml)"
  export capabilities
}

setup() {
  cd "$BATS_TEST_DIRNAME/.."
}

# Evaluates a case with kwctl; further arguments are kwctl's. kwctl logs to standard error.
evaluate() {
  local name="$1" arguments
  shift
  # kwctl takes this option once, with all its values behind it.
  mapfile -t arguments <<<"$capabilities"
  arguments=(--allowed-host-capabilities "${arguments[@]}")
  if has_session "$name"; then
    arguments+=(--replay-host-capabilities-interactions "e2e-tests/sessions/$name/session.yml")
  fi
  run --separate-stderr kwctl run "$@" "${arguments[@]}" \
    --request-path "e2e-tests/sessions/$name/request.json" \
    --settings-path "$(ls -d e2e-tests/{examples,cases}/"$name"/settings.yaml 2>/dev/null)" \
    annotated-policy.wasm
  echo "$output"
  echo "$stderr"
  [ "$status" -eq 0 ]
}

# Reduces kwctl's response to what response.json holds: the JSON patch is applied to the Pod of the request.
summarize() {
  jq --sort-keys --slurpfile request "e2e-tests/sessions/$1/request.json" '
    def resolve($root): reduce .[] as $token ([];
      . as $path | ($root | getpath($path)) as $parent
      | $path + [if $parent | type != "array" then $token elif $token == "-" then $parent | length
                 else $token | tonumber end]);
    def patch($operation):
      . as $root
      | ($operation.path | split("/")[1:] | map(gsub("~1"; "/") | gsub("~0"; "~"))) as $tokens
      | ($tokens | resolve($root)) as $path
      | if $operation.op == "remove" then delpaths([$path])
        elif $operation.op == "replace" then setpath($path; $operation.value)
        elif $operation.op == "add" then
          if $path[-1] | type == "number"
          then setpath($path[:-1]; getpath($path[:-1]) | .[:$path[-1]] + [$operation.value] + .[$path[-1]:])
          else setpath($path; $operation.value) end
        else error("no such operation: \($operation.op)") end;
    if .allowed then
      {allowed, warnings: (.warnings // []),
       pod: (reduce (.patch // "W10=" | @base64d | fromjson | .[]) as $operation
         ($request[0].object; patch($operation)))}
    else {allowed, code: .status.code, message: .status.message} end'
}

# Whether the policy asks its host for something in this case.
has_session() {
  [ -f "e2e-tests/sessions/$1/session.yml" ]
}

# Evaluates a case and compares the response with the recorded one. --allow-context-aware makes kwctl look for a cluster where it
# has no session to replay, and a case without a session asks for nothing.
check() {
  local granted=()
  if has_session "$1"; then
    granted=(--allow-context-aware)
  fi
  evaluate "$1" "${granted[@]}"
  diff <(jq --sort-keys . "e2e-tests/sessions/$1/response.json") <(summarize "$1" <<<"$output")
}

@test "a Flyte task gets its variables and files" {
  check flyte-task
}

@test "kubernetes: a Secret that was read at admission is no longer optional" {
  check kubernetes-verified
}

@test "kubernetes: a missing key is a rejection" {
  check kubernetes-missing
}

@test "global: a value for a service account that may get the Secret" {
  check global-granted
}

@test "global: a rejection for a service account that may not" {
  check global-denied
}

@test "flyte: the Secret of the Pod's project, domain or organization" {
  check flyte
}

@test "flyte: values in files" {
  check flyte-files
}

@test "confidant" {
  check confidant
}

@test "global: a value from the namespace of all" {
  check global
}

@test "vault: annotations for the agent" {
  check vault
}

@test "aws: Flyte's image" {
  check aws
}

@test "aws: the CLI, one container for all secrets" {
  check aws-cli
}

@test "gcp" {
  check gcp
}

@test "azure" {
  check azure
}

@test "csi: a volume for each SecretProviderClass" {
  check csi
}

@test "template: variables for Bank-Vaults" {
  check bank-vaults
}

@test "variables from files that an init container writes" {
  check env-files
}

@test "secrets for a Pod that asks for none" {
  check defaults
}

@test "flyte: a secret in a cloud, of the closest scope" {
  check flyte-store
}

@test "gcp: fields of JSON secrets" {
  check json-fields
}

@test "aws: parameters of Systems Manager" {
  check parameters
}

@test "kubernetes: a file at a path of its own" {
  check ssh-key
}

@test "vault: variables, and all fields in one file" {
  check vault-variables
}

@test "kubernetes: all keys of a Secret" {
  check whole-secret
}

@test "a request that cannot be decoded is a rejection" {
  check undecodable
}

@test "without a grant, the policy says what to grant" {
  evaluate kubernetes-verified
  [ "$(jq .allowed <<<"$output")" = false ]
  [ "$(jq .status.code <<<"$output")" = 503 ]
  [[ "$(jq --raw-output .status.message <<<"$output")" == *contextAwareResources* ]]
}

@test "settings that are not valid are refused" {
  run --separate-stderr kwctl run annotated-policy.wasm --settings-json '{"onUnserved": "perhaps"}' \
    --request-path e2e-tests/sessions/flyte-task/request.json
  echo "$output"
  echo "$stderr"
  [ "$status" -eq 1 ]
  [[ "$output$stderr" == *"onUnserved has to be reject or warn"* ]]
}

@test "kwctl inspect shows the metadata" {
  run --separate-stderr kwctl inspect --output yaml annotated-policy.wasm
  echo "$output"
  [ "$status" -eq 0 ]
  [[ "$output" == *"io.kubewarden.policy.title: secret-injector-policy"* ]]
  [[ "$output" == *"executionMode: kubewarden-wapc"* ]]
  [[ "$output" == *"protocolVersion: v1"* ]]
  for capability in $capabilities; do
    [[ "$output" == *"- $capability"* ]]
  done
}

@test "kwctl scaffold manifest makes a policy" {
  run --separate-stderr kwctl scaffold manifest --type ClusterAdmissionPolicy --allow-context-aware \
    --settings-path e2e-tests/cases/kubernetes-verified/settings.yaml annotated-policy.wasm
  echo "$output"
  [ "$status" -eq 0 ]
  [[ "$output" == *"kind: ClusterAdmissionPolicy"* ]]
  [[ "$output" == *"mutating: true"* ]]
  [[ "$output" == *"backgroundAudit: false"* ]]
  [[ "$output" == *"kind: Secret"* ]]
  [[ "$output" == *"verify: true"* ]]
}

# Prints of an artifacthub-pkg.yml what follows from the metadata. The time of creation, the comments at the top and the sentences
# around the commands of install are kwctl's, which words them anew from release to release.
from_metadata() {
  sed '/^createdAt:/d; /^#/d; /^install:/,/^[a-zA-Z]*:/{/^  [A-Z]/d}' "$1"
}

@test "artifacthub-pkg.yml is what kwctl makes of the metadata" {
  run --separate-stderr kwctl scaffold artifacthub --metadata-path metadata.yml --questions-path questions-ui.yml \
    --output "$BATS_TEST_TMPDIR/artifacthub-pkg.yml"
  echo "$output"
  echo "$stderr"
  [ "$status" -eq 0 ]
  diff --ignore-all-space <(from_metadata artifacthub-pkg.yml) <(from_metadata "$BATS_TEST_TMPDIR/artifacthub-pkg.yml")
}
