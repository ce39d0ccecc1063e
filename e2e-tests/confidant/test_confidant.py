"""Runs the Confidant init container of a mutated Pod against a real Confidant server on loopback.

    VENV/bin/python test_confidant.py POD

POD is a YAML file that the policy made. DynamoDB and KMS are moto's. The server holds whatever secrets
the container asks for, with awkward values.
"""
import argparse
import contextlib
import copy
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3
import confidant_client
import requests
import yaml

from env_file import parse

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(sys.executable).parent
READ_AS = 65532
# Every byte of these has to arrive; the last ones also fit in an env file.
FILE_VALUES = ["it's \"$HOME\" `id` \\n\r\n\ttail\n\n", "\u0000\u0001\u007fé漢😀", " x ", "", 5, True]
ENV_VALUES = ["pa$$word $(id) `id` \\n \"q\" # é漢😀", " two\nlines\n", "-n\r", "=#=\n\n  x"]

checks = 0


def check(right, what):
    global checks
    checks += 1
    if not right:
        raise SystemExit(f"FAILED: {what}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(command, env, url, log):
    with open(log, "wb") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url, timeout=2).close()
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def load_container(path):
    found = [c for c in yaml.safe_load(path.read_text())["spec"]["initContainers"] if "confidant" in c["name"]]
    if len(found) != 1:
        raise SystemExit(f"{path}: {len(found)} init containers for confidant, expected one")
    return found[0]


def expand(text, known):
    """What the kubelet does with `$(NAME)` and `$$` in a command, its arguments and variables."""
    return re.sub(
        r"\$\$|\$\(([^)]*)\)",
        lambda m: "$" if m[0] == "$$" else known.get(m[1], m[0]),
        text,
    )


class Container:
    """A container of a Pod, with its volumes below `root`, run as the kubelet would run it."""

    def __init__(self, spec, root, url, aws, run_as):
        self.spec, self.root, self.aws, self.run_as = spec, root, aws, run_as
        self.mounts = sorted((m["mountPath"] for m in spec["volumeMounts"]), key=len, reverse=True)
        for mount in self.mounts:
            volume = pathlib.Path(self.moved(mount))
            volume.mkdir(parents=True, exist_ok=True)
            volume.chmod(0o777)
        self.env = {}
        for each in spec.get("env", []):
            if "value" in each:
                self.env[each["name"]] = self.moved(expand(each["value"], self.env))
        config = json.loads(self.env["CONFIDANT_CONFIG"])
        config["default"]["url"] = url
        self.env["CONFIDANT_CONFIG"] = json.dumps(config)
        self.config = config["default"]
        self.service = self.env["CONFIDANT_SERVICE"]
        self.requests = json.loads(self.env["SECRET_REQUESTS"])

    def moved(self, text):
        # The longest first: one mount's path may begin with another's.
        return re.sub("|".join(map(re.escape, self.mounts)), lambda m: f"{self.root}{m[0]}", text)

    def run(self, **changed):
        env = {**self.env, **self.aws, "PATH": f"{BIN}:/usr/bin:/bin", "HOME": "/nonexistent", **changed}
        line = [*self.spec.get("command", []), *self.spec.get("args", [])]
        line = [expand(part, env) for part in line]
        if self.run_as:
            line = [shutil.which("setpriv"), f"--reuid={self.run_as}", f"--regid={self.run_as}", "--clear-groups", *line]
        return subprocess.run(line, env=env, capture_output=True, text=True, timeout=150, cwd="/")


def can_run_as(user):
    """Whether another user may run this Python (not when it lies in root's home)."""
    if os.geteuid():
        return None
    probe = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
             "env", BIN / "confidant", "--version"]  # `env`: setpriv itself still may go anywhere
    return user if subprocess.run(probe, capture_output=True, cwd="/").returncode == 0 else None


def seed(container, url, user_key):
    """Stores one credential for each group through the REST API; returns {(group, key): value}."""
    region, auth_context = container.config["region"], container.config["auth_context"]
    user = confidant_client.ConfidantClient(
        url, user_key, {"from": "tester", "to": auth_context["to"], "user_type": "user"},
        region=region, token_cache_file="",
    )
    login = (user._get_username(), user._get_token())
    in_env = {(r["group"], r["key"].lower()) for r in container.requests if "env" in r}
    values, groups = {}, {}
    for number, request in enumerate(container.requests):
        key = (request["group"], request["key"].lower())
        pool = ENV_VALUES if key in in_env else FILE_VALUES
        values.setdefault(key, pool[number % len(pool)])
        groups.setdefault(request["group"], {})[request["key"]] = values[key]
    awkward = {"quote": "it's", "crlf": "a\r\nb", "empty": "", "nul": "a\0b", "long": "x" * 32769}
    groups["awkward"] = awkward
    ids = []
    for group, pairs in groups.items():
        answer = requests.post(
            f"{url}/v1/credentials", auth=login, timeout=10,
            json={"name": group, "credential_pairs": pairs, "enabled": True, "metadata": {}},
        )
        answer.raise_for_status()
        ids.append(answer.json()["id"])
    answer = requests.put(
        f"{url}/v1/services/{container.service}", auth=login, timeout=10,
        json={"credentials": ids, "blind_credentials": [], "enabled": True},
    )
    answer.raise_for_status()
    return values, awkward


def as_bytes(value):
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def check_output(container, values, log):
    asked = log.read_text().count(f'"GET /v1/services/{container.service}')
    done = container.run()
    check(done.returncode == 0, f"exit {done.returncode}: {done.stderr}")
    check(done.stdout == "", "nothing on stdout")
    asked = log.read_text().count(f'"GET /v1/services/{container.service}') - asked
    check(asked == 1, f"one request for all secrets, not {asked}")
    expected = set()
    for request in container.requests:
        want = as_bytes(values[request["group"], request["key"].lower()])
        where = (request["group"], request["key"])
        path = pathlib.Path(request["path"])
        expected.add(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        if "env" in request:
            check(parse(path.read_bytes(), request["env"]) == want, f"{where}: variable {request['env']}")
            check(mode == 0o600, f"{where}: mode of the file of variables")
            continue
        check(path.read_bytes() == want, f"{where}: content")
        check(mode == 0o644, f"{where}: file mode")
        if path.parent != container.root and str(path.parent) not in map(container.moved, container.mounts):
            check(stat.S_IMODE(path.parent.stat().st_mode) == 0o755, f"{where}: directory mode")
        if os.geteuid() == 0:
            read = subprocess.run(
                ["setpriv", f"--reuid={READ_AS}", f"--regid={READ_AS}", "--clear-groups", "cat", str(path)],
                capture_output=True,
            )
            check(read.stdout == want and read.returncode == 0, f"{where}: read by another user")
    there = {path for path in container.root.rglob("*") if path.is_file()}
    check(there == expected, f"only these files: {there ^ expected}")
    check(not os.path.exists("/dev/shm/confidant/confidant_token"), "no token left in /dev/shm")


def check_refusals(container, values, awkward, closed_url):
    def refused(why, secrets=(), **changed):
        for mount in container.mounts:
            for path in pathlib.Path(container.moved(mount)).iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        done = container.run(**changed)
        check(done.returncode == 1, f"{why}: exit {done.returncode}")
        check(why in done.stderr, f"{why!r} is not in {done.stderr!r}")
        said = done.stdout + done.stderr
        for secret in [*secrets, *values.values()]:
            long = isinstance(secret, str) and len(secret) > 3
            check(not long or secret not in said, f"{why}: no value in the messages")
        check(not [p for p in container.root.rglob("*") if p.is_file()], f"{why}: nothing written")

    def config(**changed):
        return json.dumps({"default": {**container.config, **changed}})

    good = container.requests[0]
    ask = lambda **request: json.dumps([good, {"path": good["path"], **request}])  # noqa: E731
    refused("has no credential 'nobody'", SECRET_REQUESTS=ask(group="nobody", key="k"))
    refused("has no key 'nothing'", SECRET_REQUESTS=ask(group=good["group"], key="nothing"))
    for key, why in [("quote", "a single quote"), ("crlf", "a CR LF"), ("empty", "is empty"),
                     ("nul", "a NUL byte"), ("long", "longer than 32768")]:
        refused(why, [awkward[key]], SECRET_REQUESTS=ask(group="awkward", key=key, env="NAME"))
    context = container.config["auth_context"]
    refused("does not exist", CONFIDANT_SERVICE="missing",
            CONFIDANT_CONFIG=config(auth_context={**context, "from": "missing"}))
    refused("does not have access", CONFIDANT_CONFIG=config(auth_context={**context, "from": "other"}))
    refused("the request failed", CONFIDANT_CONFIG=config(url=closed_url, retries=1))
    refused("gave no answer", CONFIDANT_CONFIG=config(auth_key=""))
    refused("cannot run `confidant`", PATH=container.no_client)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("pod", type=pathlib.Path)
    options = options.parse_args()
    spec = load_container(options.pod)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the servers too
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.chmod(0o755)
        moto, confidant = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        aws = {"AWS_ENDPOINT_URL": moto, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
               "AWS_EC2_METADATA_DISABLED": "true"}
        root = work / "root"
        container = Container(copy.deepcopy(spec), root, confidant, aws,
                              can_run_as(spec.get("securityContext", {}).get("runAsUser", READ_AS + 1)))
        shutil.rmtree(work / "bin", ignore_errors=True)
        (work / "bin").mkdir()
        (work / "bin" / "python3").symlink_to(os.path.realpath(sys.executable))
        container.no_client = f"{work}/bin"
        os.environ.update(aws, AWS_DEFAULT_REGION=container.config["region"])
        stack.enter_context(server(
            [BIN / "moto_server", "-H", "127.0.0.1", "-p", moto.rsplit(":", 1)[1]],
            {**os.environ}, moto + "/moto-api/", work / "moto.log"))
        kms = boto3.client("kms")
        keys = {"at_rest": "alias/at-rest", "auth": container.config["auth_key"], "user": "alias/user-auth"}
        for alias in keys.values():
            kms.create_alias(AliasName=alias, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        settings = {
            "KMS_URL": moto, "DYNAMODB_URL": moto, "DYNAMODB_TABLE": "confidant",
            "KMS_MASTER_KEY": keys["at_rest"], "AUTH_KEY": keys["auth"], "USER_AUTH_KEY": keys["user"],
            "AUTH_CONTEXT": container.config["auth_context"]["to"], "KMS_AUTH_USER_TYPES": "service,user",
            "KMS_AUTH_MANAGE_GRANTS": "false", "BACKGROUND_CACHE_IAM_ROLES": "false", "SSLIFY": "false",
            "SESSION_SECRET": "test", "USER_AUTH_MODULE": "header", "HEADER_AUTH_USERNAME_HEADER": "X-User",
            "HEADER_AUTH_EMAIL_HEADER": "X-Email", "STATSD_HOST": "127.0.0.1",
            "IGNORE_CONFLICTS": "true",  # the same key may be in two credentials of a service
        }
        log = work / "confidant.log"
        stack.enter_context(server(
            [sys.executable, "-W", "ignore", HERE / "server.py", confidant.rsplit(":", 1)[1]],
            {**os.environ, **settings}, confidant + "/healthcheck", log))
        values, awkward = seed(container, confidant, keys["user"])
        check_output(container, values, log)
        check_output(container, values, log)  # again, as after a restart
        check_refusals(container, values, awkward, f"http://127.0.0.1:{free_port()}")
        user = f"user {container.run_as}" if container.run_as else "the calling user"
    print(f"confidant: {len(container.requests)} requests, {checks} checks, run as {user}, "
          f"{time.monotonic() - started:.0f} s: ok")


main()
