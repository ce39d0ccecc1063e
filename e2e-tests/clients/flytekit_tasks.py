"""Flyte 1: tasks of flytekit find their secrets. Each task below runs in its container once for each of the settings.

    flytekit_tasks.py             runs all of them
    flytekit_tasks.py --run TASK  is the task's container
"""

import collections
import os
import pathlib
import sys
import tempfile

from flytekit import Secret, current_context, task
from flytekit.bin.entrypoint import setup_execution
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.models.literals import LiteralMap
from flytekit.tools.translator import get_serializable

import pod

ENV_VAR, FILE, ANY = Secret.MountType.ENV_VAR, Secret.MountType.FILE, Secret.MountType.ANY

# Names for variables and directories for files that an operator may choose: the policy's default, and Flyte 1's prefix
# with a directory that is neither the policy's nor flytekit's default.
SETTINGS = [{}, {"envPrefix": "_FSEC_", "mountPath": "/var/run/flyte/secrets"}]

CLUSTER = {
    "shop-production/db": {"password": "s3cr3t", "ca.crt": "-----BEGIN\ncertificate\n"},
    "shop-production/My-App": {"Api-Key": "Mixed-Case"},
    "shop-production/dollars": {"value": "$(HOME)$$x"},
    "flyte-secrets/shared": {"token": "$(HOME) from everybody's namespace"},
    # Flyte 2 keeps `flyte create secret token` for the project shop in its domain production as these.
    "shop-production/3f32b60754c2f15a8a92f018bf6074db": {
        "u__org__acme__domain__production__project__shop__key__token": "t0k3n",
    },
    "flyte/3f32b60754c2f15a8a92f018bf6074db": {
        "u__org__acme__domain__production__project__shop__key__token": "t0k3n",
    },
}

TASKS = {}


def using(manager, **world):
    """Marks a task: which manager serves it, settings and what the world holds besides."""

    def mark(marked):
        TASKS[marked.name.rpartition(".")[2]] = (marked, manager, world)
        return marked

    return mark


def secrets():
    return current_context().secrets


def read_file(path):
    return pathlib.Path(path).read_text()


KUBERNETES = {"type": "kubernetes"}


@using(KUBERNETES)
@task(secret_requests=[Secret(group="db", key="password", mount_requirement=ENV_VAR)])
def kubernetes_variable() -> None:
    assert secrets().get("db", "password") == "s3cr3t"
    assert secrets().db.password == "s3cr3t"
    assert os.environ[secrets().get_secrets_env_var("db", "password")] == "s3cr3t"
    assert not os.path.exists(secrets().get_secrets_file("db", "password"))


@using(KUBERNETES)
@task(secret_requests=[Secret(group="db", key="ca.crt", mount_requirement=FILE)])
def kubernetes_file() -> None:
    # flytekit strips what it gives.
    assert secrets().get("db", "ca.crt") == "-----BEGIN\ncertificate"
    assert read_file(secrets().get_secrets_file("db", "ca.crt")) == "-----BEGIN\ncertificate\n"
    assert secrets().get_secrets_env_var("db", "ca.crt") not in os.environ


@using(KUBERNETES)
@task(secret_requests=[Secret(group="db", key="password")])
def kubernetes_any() -> None:
    assert secrets().get("db", "password") == "s3cr3t"
    assert read_file(secrets().get_secrets_file("db", "password")) == "s3cr3t"


@using(KUBERNETES)
@task(
    secret_requests=[
        Secret(group="db", key="password", mount_requirement=ENV_VAR, env_var="PGPASSWORD"),
        Secret(group="db", key="ca.crt", mount_requirement=FILE, env_var="PGSSLROOTCERT"),
    ]
)
def kubernetes_env_var() -> None:
    assert os.environ["PGPASSWORD"] == secrets().get("db", "password") == "s3cr3t"
    assert os.environ["PGSSLROOTCERT"] == secrets().get_secrets_file("db", "ca.crt")
    assert read_file(os.environ["PGSSLROOTCERT"]) == "-----BEGIN\ncertificate\n"


@using(KUBERNETES)
@task(
    secret_requests=[
        Secret(group="db", key="password", mount_requirement=FILE),
        Secret(group="db", key="ca.crt", mount_requirement=FILE),
        Secret(group="My-App", key="Api-Key", mount_requirement=FILE),
        Secret(group="My-App", key="Api-Key", mount_requirement=ENV_VAR),
        Secret(group="dollars", key="value", mount_requirement=ENV_VAR),
    ]
)
def kubernetes_several() -> None:
    assert read_file(secrets().get_secrets_file("db", "password")) == "s3cr3t"
    assert secrets().get("db", "ca.crt") == "-----BEGIN\ncertificate"
    assert read_file(secrets().get_secrets_file("My-App", "Api-Key")) == "Mixed-Case"
    assert os.environ[secrets().get_secrets_env_var("My-App", "Api-Key")] == "Mixed-Case"
    assert secrets().get("dollars", "value") == "$(HOME)$$x"


@using(KUBERNETES)
@task(
    secret_requests=[
        Secret(group="db", group_version="v2", key="password", mount_requirement=ENV_VAR),
        Secret(group="db", group_version="v2", key="ca.crt", mount_requirement=FILE),
    ]
)
def kubernetes_version() -> None:
    # Secrets have no versions: as with Flyte's own webhook, the task has to ask for the secret without one.
    assert secrets().get("db", "password") == "s3cr3t"
    assert secrets().get("db", "ca.crt") == "-----BEGIN\ncertificate"
    for key in ["password", "ca.crt"]:
        try:
            secrets().get("db", key, group_version="v2")
        except ValueError:
            continue
        raise AssertionError("there is a version")


@using(KUBERNETES)
@task(
    secret_requests=[
        Secret(group="db", key="pasword", mount_requirement=ENV_VAR),
        Secret(group="none", key="password", mount_requirement=FILE),
    ]
)
def kubernetes_missing() -> None:
    for group, key in [("db", "pasword"), ("none", "password")]:
        try:
            secrets().get(group, key)
        except ValueError as error:
            assert f"Unable to find secret for key {key} in group {group}" in str(error)
        else:
            raise AssertionError("there is no such secret")


@using({"type": "global", "authorize": "none"})
@task(secret_requests=[Secret(group="shared", key="token", mount_requirement=ENV_VAR, env_var="TOKEN")])
def global_variable() -> None:
    assert secrets().get("shared", "token") == "$(HOME) from everybody's namespace"
    assert os.environ["TOKEN"] == "$(HOME) from everybody's namespace"


@using({"type": "flyte"})
@task(secret_requests=[Secret(group="", key="token", mount_requirement=ENV_VAR)])
def flyte_variable() -> None:
    assert secrets().get(key="token") == "t0k3n"


@using({"type": "flyte"})
@task(secret_requests=[Secret(group="", key="token", mount_requirement=FILE, env_var="TOKEN_FILE")])
def flyte_file() -> None:
    assert secrets().get(key="token") == "t0k3n"
    assert os.environ["TOKEN_FILE"] == secrets().get_secrets_file(key="token")


@using({"type": "flyte", "literal": True})
@task(secret_requests=[Secret(group="", key="token", mount_requirement=ENV_VAR)])
def flyte_literal_variable() -> None:
    assert secrets().get(key="token") == "t0k3n"


@using({"type": "flyte", "literal": True})
@task(secret_requests=[Secret(group="", key="token", mount_requirement=FILE)])
def flyte_literal_file() -> None:
    assert read_file(secrets().get_secrets_file(key="token")) == secrets().get(key="token") == "t0k3n"


@using({"type": "gcp"}, managers={"Db/versions/latest": "from Google"})
@task(secret_requests=[Secret(group="Db", group_version="latest", mount_requirement=FILE, env_var="DB")])
def gcp_file() -> None:
    # The version is the file's name; there is no key.
    assert secrets().get("Db", group_version="latest") == "from Google"
    assert os.environ["DB"] == secrets().get_secrets_file("Db", group_version="latest")


@using({"type": "gcp"}, managers={"Db/versions/latest": "from Google"}, envFiles=True)
@task(secret_requests=[Secret(group="Db", group_version="latest", mount_requirement=ENV_VAR, env_var="DB")])
def gcp_variable() -> None:
    assert secrets().get("Db", group_version="latest") == os.environ["DB"] == "from Google"
    assert not os.path.exists(secrets().get_secrets_file("Db", group_version="latest"))


@using({"type": "aws", "client": "cli"}, managers={"db:password": "from Amazon", "db:user stage=old": "before"})
@task(
    secret_requests=[
        Secret(group="db", key="password", mount_requirement=FILE),
        Secret(group="db", group_version="old", key="user", mount_requirement=FILE),
    ]
)
def aws_file() -> None:
    assert secrets().get("db", "password") == "from Amazon"
    assert secrets().get("db", "user", group_version="old") == "before"


@using({"type": "aws", "client": "cli"}, managers={"db:user stage=old": "before"}, envFiles=True)
@task(secret_requests=[Secret(group="db", group_version="old", key="user", mount_requirement=ENV_VAR)])
def aws_variable() -> None:
    assert secrets().get("db", "user", group_version="old") == "before"


VAULT = "https://v.vault.azure.net/secrets/password"


@using({"type": "azure"}, managers={VAULT: "from Microsoft"})
@task(secret_requests=[Secret(group=VAULT, mount_requirement=FILE, env_var="PASSWORD_FILE")])
def azure_file() -> None:
    # The group is a URL, the file is called as the secret in it.
    assert read_file(os.environ["PASSWORD_FILE"]) == secrets().get("password") == "from Microsoft"


@using({"type": "vault", "role": "r"}, agents={"db#password": "from Vault"})
@task(secret_requests=[Secret(group="db", key="password", mount_requirement=FILE, env_var="PASSWORD_FILE")])
def vault_file() -> None:
    assert secrets().get("db", "password") == "from Vault"
    assert os.environ["PASSWORD_FILE"] == secrets().get_secrets_file("db", "password")


@using({"type": "csi"}, agents={"db/password": "from a driver"})
@task(secret_requests=[Secret(group="db", key="password", mount_requirement=FILE, env_var="PASSWORD_FILE")])
def csi_file() -> None:
    assert secrets().get("db", "password") == "from a driver"
    assert os.environ["PASSWORD_FILE"] == secrets().get_secrets_file("db", "password")


def requested(asking):
    """The secrets in the task's specification, as flytekit sends it to Flyte's backend."""
    settings = SerializationSettings(image_config=ImageConfig.auto(img_name="task:1"), project="shop", version="1")
    specification = get_serializable(collections.OrderedDict(), settings, asking)
    return specification.template.to_flyte_idl().security_context.secrets


def check(name, settings):
    asking, manager, world = TASKS[name]
    world = dict(world)
    managers, agents = world.pop("managers", {}), world.pop("agents", {})
    case = pod.Case(
        settings={"managers": [manager]} | settings | world,
        secrets=requested(asking),
        cluster=CLUSTER,
        managers=managers,
        agents=agents,
    )
    printed = pod.run(case, [sys.executable, __file__, "--run", name])
    assert printed.endswith(f"{name} is done\n"), printed


def run(name):
    """Runs a task as flytekit's entrypoint does in a container."""
    with tempfile.TemporaryDirectory() as directory, setup_execution(raw_output_data_prefix=directory) as context:
        assert not context.execution_state.is_local_execution()
        TASKS[name][0].dispatch_execute(context, LiteralMap(literals={}))
    print(f"{name} is done")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2])
    else:
        tests = {
            f"{name} {settings or ''}": lambda name=name, settings=settings: check(name, settings)
            for name in TASKS
            for settings in SETTINGS
        }
        sys.exit(pod.main(tests))
