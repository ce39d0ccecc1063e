"""From the secrets that a task asks for to the task in its container.

What Flyte's backend, the API server, the policy, the kubelet and the secret managers do in a cluster is done here by:
`annotations`; the tool `secret-injector` with the policy; the program `resolve`, `enter.py` and `unshare`; the stand-ins.
"""

import base64
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

from google.protobuf import text_format

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
TOOL = os.environ.get("TOOL", REPOSITORY / "target/debug/secret-injector")
RESOLVE = os.environ.get("RESOLVE", REPOSITORY / "target/debug/resolve")
POLICY = os.environ.get("POLICY_WASM", REPOSITORY / "policy.wasm")
STAND_INS = [HERE.parent / "stand-ins", HERE / "stand-ins"]
# The entrypoint of the only image whose containers have no command of their own.
SIDECAR = "aws-secrets-manager-secret-sidecar"
# Every one of the programs that run here comes to its end long before.
TIMEOUT = 120
# What a container needs must not be in /tmp: the sidecar has its volume there.
TEMPORARY = "/var/tmp"

NAMESPACE = "shop-production"
CONTAINER = "primary"

# Flyte's alphabet for base32, without padding.
ALPHABET = "abcdefghijklmnopqrstuvwxyz123456"
STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

# What the image of the task sets.
IMAGE = {
    "PATH": os.environ["PATH"],
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Short reports of what fails.
    "FLYTE_SDK_RICH_TRACEBACKS": "0",
}


@dataclasses.dataclass
class Case:
    """A task, and the world it runs in."""

    # The policy's settings.
    settings: dict
    # What the task's SDK makes of its secrets: protobuf messages.
    secrets: list
    # The Secrets of the cluster: their content by NAMESPACE/NAME.
    cluster: dict
    # What the secret managers with init containers hold, by the name under which their clients know it.
    managers: dict
    # What a CSI driver, Vault's agent or another webhook gives: values by the path or text that stands for them.
    agents: dict


def annotations(secrets):
    """The annotations that Flyte's backend makes of a task's secrets: text format, base32."""
    translation = str.maketrans(STANDARD, ALPHABET)
    made = {}
    for index, secret in enumerate(secrets):
        text = text_format.MessageToString(secret).encode()
        made[f"flyte.secrets/s{index}"] = base64.b32encode(text).decode().rstrip("=").translate(translation)
    return made


def run(case, command):
    """Runs `command` in the container of a Pod that asks for the case's secrets; gives what it prints."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="secret-injector-clients-", dir=TEMPORARY))
    try:
        return _Pod(case, directory).run(command)
    finally:
        shutil.rmtree(directory)


class Failure(Exception):
    """A program that had to succeed did not."""


class _Pod:
    def __init__(self, case, directory):
        self.case, self.directory = case, directory
        objects = {"apiVersion": "v1", "kind": "List", "metadata": {"name": "cluster"}, "items": list(self.objects())}
        self.cluster = self.write("cluster.json", json.dumps(objects))
        settings = self.write("settings.json", json.dumps(case.settings))
        pod = self.write("pod.json", json.dumps(self.manifest()))
        arguments = [pod, "--settings", settings, "--cluster", self.cluster, "--wasm", POLICY, "--output", "json", "--show-values"]
        self.admitted = self.write("admitted.json", output([TOOL, "preview", *arguments]))
        self.spec = json.loads(self.admitted.read_text())

    def manifest(self):
        """The Pod as Flyte's backend makes it."""
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "task",
                "namespace": NAMESPACE,
                "labels": {
                    "inject-flyte-secrets": "true", "organization": "acme", "project": "shop", "domain": "production",
                },
                "annotations": annotations(self.case.secrets),
            },
            "spec": {"containers": [{"name": CONTAINER, "image": "task:1"}]},
        }

    def objects(self):
        for name, content in self.case.cluster.items():
            namespace, name = name.split("/")
            metadata = {"namespace": namespace, "name": name}
            data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
            yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}

    def run(self, command):
        for container in self.spec["spec"].get("initContainers", []):
            self.start(container["name"], [SIDECAR], self.stand_ins())
        return self.start(CONTAINER, command, {})

    def start(self, name, command, image):
        """Runs a container, the image's entrypoint being `command`."""
        resolved = json.loads(
            output(
                [RESOLVE, self.admitted, "--cluster", self.cluster, "--container", name, "--root", self.directory]
            )
        )
        self.place_agents_files(resolved)
        resolved["env"] = {name: self.case.agents.get(value, value) for name, value in resolved["env"].items()}
        resolved["image"] = IMAGE | image
        container = self.write(f"{name}.json", json.dumps(resolved))
        command = resolved["command"] or command
        namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
        return output([*namespace, sys.executable, HERE / "enter.py", container, *command, *resolved["args"]])

    def stand_ins(self):
        """Puts the stand-ins for the clients of secret managers into place; gives the variables they need."""
        directory, programs = self.directory / "managers", self.directory / "stand-ins"
        for source in STAND_INS:
            shutil.copytree(source, programs, dirs_exist_ok=True)
        for index, (name, value) in enumerate(self.case.managers.items()):
            secret = directory / f"secret-{index}"
            secret.mkdir(parents=True, exist_ok=True)
            (secret / "name").write_text(name)
            (secret / "value").write_text(value)
        token = self.write("token", "token")
        return {
            "PATH": f"{programs}:{IMAGE['PATH']}",
            "STAND_INS": str(directory),
            # Azure's workload identity webhook sets these.
            "AZURE_CLIENT_ID": "client",
            "AZURE_TENANT_ID": "tenant",
            "AZURE_FEDERATED_TOKEN_FILE": str(token),
        }

    def place_agents_files(self, resolved):
        """Does what a CSI driver does for a volume, and Vault's agent for annotations."""
        files = {}
        for mount in resolved.pop("unresolved"):
            volume = next(volume for volume in self.spec["spec"]["volumes"] if volume["name"] == mount["volume"])
            provider = volume["csi"]["volumeAttributes"]["secretProviderClass"]
            files[mount["mountPath"]] = self.driver_files(provider)
        annotations = self.spec["metadata"]["annotations"]
        vault = "vault.hashicorp.com"
        if annotations.get(f"{vault}/agent-inject") == "true":
            for key, path in annotations.items():
                if match := re.fullmatch(f"{vault}/agent-inject-secret-(.+)", key):
                    template = annotations[f"{vault}/agent-inject-template-{match[1]}"]
                    field = re.search(r"\.Data\.data\.(\w+)", template)[1]
                    content = files.setdefault(annotations[f"{vault}/secret-volume-path-{match[1]}"], {})
                    content[annotations[f"{vault}/agent-inject-file-{match[1]}"]] = self.case.agents[f"{path}#{field}"]
        for index, (mount_path, content) in enumerate(files.items()):
            source = self.directory / f"agent-{index}"
            for path, value in content.items():
                (source / path).parent.mkdir(parents=True, exist_ok=True)
                (source / path).write_text(value)
            resolved["mounts"].append({"mountPath": mount_path, "source": str(source), "readOnly": True})

    def driver_files(self, provider):
        prefix = f"{provider}/"
        given = self.case.agents.items()
        return {path.removeprefix(prefix): value for path, value in given if path.startswith(prefix)}

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path


def output(command):
    command = list(map(str, command))
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)[:300]}\n{done.stdout}{done.stderr}")
    return done.stdout


def passes(case, name):
    """Runs the task `name` of this script in a container of the Pod."""
    script = os.path.abspath(sys.argv[0])
    printed = run(case, [sys.executable, script, "--run", name])
    assert printed.endswith(f"{name} is done\n"), printed


def main(tests, run_task):
    """Runs `tests`, functions without arguments by their titles; the exit code says whether all of them passed. In the
    container the script runs the task that it is asked for."""
    if sys.argv[1:2] == ["--run"]:
        run_task(sys.argv[2])
        print(f"{sys.argv[2]} is done")
        return 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = list(pool.map(attempt, tests, tests.values()))
    failed = sum(errors)
    print(f"{len(errors) - failed} passed, {failed} failed")
    return 1 if failed or not errors else 0


def attempt(title, test):
    """Whether the test fails."""
    try:
        test()
    except Exception as error:
        reason = error if isinstance(error, Failure) else traceback.format_exc()
        print(f"FAILED  {title}\n{reason}", flush=True)
        return True
    print(f"ok      {title}", flush=True)
    return False
