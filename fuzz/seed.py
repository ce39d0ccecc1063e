#!/usr/bin/env python3
"""Makes the fuzz corpora's seeds from the golden vectors and the examples: fuzz/corpus/TARGET/*.

What is there stays; a seed's name is its content's hash, so running it again changes nothing.
"""
import base64
import hashlib
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "e2e-tests" / "golden"
CORPUS = ROOT / "fuzz" / "corpus"
FLYTE_ALPHABET = str.maketrans("abcdefghijklmnopqrstuvwxyz123456", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")

MANAGERS = ["global", "kubernetes", "vault", "aws", "gcp", "azure", "confidant", "csi", "flyte", "template"]
SETTINGS = [
    {"managers": [{"type": manager}]} for manager in MANAGERS
] + [
    {"managers": [{"type": "global", "authorize": "none"}, {"type": "kubernetes", "optional": False, "verify": True}]},
    {"managers": [{"type": "kubernetes", "match": {"groups": ["a*", "?"], "mounts": ["file"]}}], "onUnserved": "warn"},
    {"access": [{"namespaces": ["team-*"], "serviceAccounts": ["*"], "secrets": ["db/*"]}], "initContainers": "last"},
    {"managers": [{"type": "aws", "client": "cli", "securityContext": {}, "resources": {}}], "envFiles": True},
    {"managers": [{"type": "template", "name": "t", "env": [{"name": "{envVar}", "value": "v:{group}#{key}"}]}]},
    {"envPrefix": "_FSEC_", "mountPath": "/etc/secrets", "statusAnnotation": False, "certDir": "/etc"},
]

# What Pods get without asking for it.
GIVING = [
    {"defaults": [{"namespaces": ["*"], "serviceAccounts": ["default"], "labels": {"project": "flytesnacks"},
                   "containers": ["$primary"], "requests": [{"group": "db", "key": "password", "required": True}]}]},
    {"defaults": [{"namespaces": ["fly*"], "requests": [{"group": "db", "key": "token", "mountRequirement": "ENV_VAR",
                   "envVar": "TOKEN"}, {"group": "tls", "key": "ca.crt", "path": "/etc/ca.crt", "mode": "0444"}]}],
     "imagePullSecrets": [{"name": "registry", "images": ["*"], "namespaces": ["flyte"], "verify": True}]},
]


def cases(name):
    text = (GOLDEN / name).read_text()
    return json.loads(text)


def write(target, seed):
    directory = CORPUS / target
    directory.mkdir(parents=True, exist_ok=True)
    (directory / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def decoded(annotation):
    """The text in one of Flyte's annotations, where it is base32."""
    text = annotation.replace("\n", "").replace("\r", "").translate(FLYTE_ALPHABET)
    try:
        return base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        return None


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def payload(pod, settings):
    request = {
        "uid": "u",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "namespace": "flyte",
        "operation": "CREATE",
        "userInfo": {"username": "alice", "groups": ["developers"]},
        "object": pod,
    }
    return compact({"request": request, "settings": settings})


def json_requests(secrets):
    fields = {"group": "group", "group_version": "groupVersion", "key": "key", "env_var": "envVar"}
    items = []
    for secret in secrets:
        item = {ours: secret[theirs] for theirs, ours in fields.items() if secret.get(theirs)}
        item["mountRequirement"] = secret.get("mount_requirement", "ANY")
        items.append(item)
    return items


def main():
    for name in ["marshal_decode.json", "marshal_base32.json"]:
        for case in cases(name):
            for value in case.get("annotations", {}).values():
                write("base32", value.encode())
                text = decoded(value)
                if text is not None and len(text) < 400:
                    write("text_format", text)
    for case in cases("marshal_encode.json"):
        secrets = case.get("secrets") or (case.get("result") or {}).get("secrets") or []
        if secrets:
            write("json_requests", compact(json_requests(secrets)))
    for seed in [
        b'[{"group":"db","key":"password","mountRequirement":"ENV_VAR","envVar":"PGPASSWORD","containers":["a","b"]}]',
        b'[{"group_version":"1","mount_requirement":2,"env_var":null},{}]',
        b'[{"key":"\\ud83d\\udd11","key":1}]',
    ]:
        write("json_requests", seed)
    for settings in SETTINGS + GIVING:
        write("settings", compact(settings))
    for name in ["mutate_v1.json", "mutate_v2.json"]:
        for number, case in enumerate(cases(name)):
            if number % 3 == 0 and len(compact(case["pod"])) < 4000:
                write("validate_bytes", payload(case["pod"], SETTINGS[number % len(SETTINGS)]))
            if number % 50 == 1 and len(compact(case["pod"])) < 4000:
                write("validate_bytes", payload(case["pod"], GIVING[number // 50 % len(GIVING)]))


if __name__ == "__main__":
    main()
