"""Checks Pods that the policy has mutated against the Kubernetes schemas.

Usage: validate.py DIRECTORY

Each file of DIRECTORY is a JSON object with the Pod `before` and `after` the mutation, as the tests write them where the
variable MUTATED_PODS names a directory. The newest Kubernetes version that kubernetes-validate knows is used, in strict
mode, so that unknown fields count; what a schema cannot say (unique names and paths, mounts of volumes that exist) is
checked as the API server does. A Pod that was not valid before does not count.
"""

import json
import pathlib
import re
import sys

import kubernetes_validate

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def problems(pod, version):
    """What the API server would say against the Pod."""
    try:
        kubernetes_validate.validate(pod, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        path = ".".join(str(part) for part in error.path)
        return [f"{path}: {error.message.splitlines()[0][:200]}"]
    except (KeyError, TypeError, AttributeError):
        return ["no apiVersion and kind that Kubernetes knows"]
    found = []
    spec = pod.get("spec") or {}
    volumes = [volume["name"] for volume in spec.get("volumes") or []]
    # The Vault Agent's injector, which sees the Pod after the policy, adds a volume.
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    later = ["vault-secrets"] if annotations.get("vault.hashicorp.com/agent-inject") == "true" else []
    containers = (spec.get("initContainers") or []) + (spec.get("containers") or [])
    names = [container["name"] for container in containers]
    for kind, values in (("volume", volumes), ("container", names)):
        found += [f"{kind} {name!r} is there twice" for name in sorted({n for n in values if values.count(n) > 1})]
        found += [f"{kind} {name!r} is no DNS label" for name in values if not DNS_LABEL.fullmatch(name)]
    for container in containers:
        mounts = container.get("volumeMounts") or []
        paths = [mount["mountPath"] for mount in mounts]
        found += [f"{container['name']}: two mounts at {p!r}" for p in sorted({p for p in paths if paths.count(p) > 1})]
        found += [f"{container['name']}: no volume {m['name']!r}" for m in mounts if m["name"] not in volumes + later]
        variables = [variable["name"] for variable in container.get("env") or []]
        found += [f"{container['name']}: variable {name!r}" for name in variables if not VARIABLE.fullmatch(name)]
    return found


def main():
    version = kubernetes_validate.latest_version()
    passed, failed, skipped = 0, 0, 0
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
    for file in files:
        pair = json.loads(file.read_text())
        if problems(pair["before"], version):
            skipped += 1
            continue
        found = problems(pair["after"], version)
        if found:
            failed += 1
            print(f"{file}:", *found, sep="\n  ")
        else:
            passed += 1
    print(f"Pods checked against Kubernetes {version}; skipped ones were not valid before the mutation")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    if failed or not passed:
        sys.exit(1)


if __name__ == "__main__":
    main()
