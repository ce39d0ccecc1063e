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
    # What a CSI driver makes of a SecretProviderClass with secretObjects.
    "shop-production/db-synced": {"password": "from a driver"},
    "flyte-secrets/shared": {"token": "$(HOME) from everybody's namespace", "other": "as well"},
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
@task(
    secret_requests=[
        Secret(group="shared", key="token", mount_requirement=ENV_VAR, env_var="TOKEN"),
        Secret(group="shared", key="other"),
    ]
)
def global_variables() -> None:
    assert secrets().get("shared", "token") == "$(HOME) from everybody's namespace"
    assert os.environ["TOKEN"] == "$(HOME) from everybody's namespace"
    assert secrets().get("shared", "other") == "as well"


@using({"type": "flyte"})
@task(secret_requests=[Secret(group="", key="token", mount_requirement=ENV_VAR)])
def flyte_variable() -> None:
    assert secrets().get(key="token") == "t0k3n"


@using({"type": "flyte"})
@task(secret_requests=[Secret(group="", key="token", mount_requirement=FILE, env_var="TOKEN_FILE")])
def flyte_file() -> None:
    assert secrets().get(key="token") == "t0k3n"
    assert os.environ["TOKEN_FILE"] == secrets().get_secrets_file(key="token")


@using({"type": "flyte"})
@task(secret_requests=[Secret(group="", key="token")])
def flyte_any() -> None:
    assert secrets().get(key="token") == "t0k3n"


@using({"type": "flyte", "literal": True, "organization": "acme"})
@task(secret_requests=[Secret(group="", key="token", mount_requirement=ENV_VAR)])
def flyte_literal_variable() -> None:
    assert secrets().get(key="token") == "t0k3n"


@using({"type": "flyte", "literal": True, "organization": "acme"})
@task(secret_requests=[Secret(group="", key="token", mount_requirement=FILE)])
def flyte_literal_file() -> None:
    assert read_file(secrets().get_secrets_file(key="token")) == secrets().get(key="token") == "t0k3n"


@using({"type": "gcp"}, managers={"Db/versions/latest": "from Google", "projects/p/secrets/Api/versions/2": "as well"})
@task(
    secret_requests=[
        Secret(group="Db", group_version="latest", mount_requirement=FILE, env_var="DB"),
        Secret(group="projects/p/secrets/Api", group_version="2"),
    ]
)
def gcp_files() -> None:
    # The version is the file's name; there is no key.
    assert secrets().get("Db", group_version="latest") == "from Google"
    assert os.environ["DB"] == secrets().get_secrets_file("Db", group_version="latest")
    assert secrets().get("projects/p/secrets/Api", group_version="2") == "as well"


@using({"type": "gcp"}, managers={"Db/versions/latest": "from Google"}, envFiles=True)
@task(secret_requests=[Secret(group="Db", group_version="latest", mount_requirement=ENV_VAR, env_var="DB")])
def gcp_variable() -> None:
    assert secrets().get("Db", group_version="latest") == os.environ["DB"] == "from Google"
    assert not os.path.exists(secrets().get_secrets_file("Db", group_version="latest"))


# The group and the key together are the secret's ARN.
ARN = "arn:aws:secretsmanager:eu-west-1:1:secret"


@using({"type": "aws", "client": "cli"}, managers={f"{ARN}:db": "from Amazon", f"{ARN}:user stage=old": "before"})
@task(
    secret_requests=[
        Secret(group=ARN, key="db", mount_requirement=FILE),
        Secret(group=ARN, group_version="old", key="user"),
    ]
)
def aws_files() -> None:
    assert secrets().get(ARN, "db") == "from Amazon"
    assert secrets().get(ARN, "user", group_version="old") == "before"


# An ARN cannot be in a variable's name.
@using({"type": "aws", "client": "cli"}, managers={f"{ARN}:user stage=old": "before"}, envFiles=True)
@task(secret_requests=[Secret(group=ARN, group_version="old", key="user", mount_requirement=ENV_VAR, env_var="DB_USER")])
def aws_variable() -> None:
    assert os.environ["DB_USER"] == "before"


@using({"type": "aws"}, managers={f"{ARN}:db-AbCdEf": "from Amazon", f"{ARN}:api-GhIjKl": "also from Amazon"})
@task(
    secret_requests=[
        Secret(group=f"{ARN}:", key="db-AbCdEf", mount_requirement=FILE, env_var="DB_FILE"),
        Secret(group=f"{ARN}:", key="api-GhIjKl"),
    ]
)
def aws_sidecar_files() -> None:
    assert secrets().get(f"{ARN}:", "db-AbCdEf") == "from Amazon"
    assert os.environ["DB_FILE"] == secrets().get_secrets_file(f"{ARN}:", "db-AbCdEf")
    assert secrets().get(f"{ARN}:", "api-GhIjKl") == "also from Amazon"


VAULT = "https://v.vault.azure.net/secrets/password"


@using({"type": "azure"}, managers={VAULT: "from Microsoft", "https://v.vault.azure.net/secrets/api/3": "as well"})
@task(
    secret_requests=[
        Secret(group=VAULT, mount_requirement=FILE, env_var="PASSWORD_FILE"),
        Secret(group="https://v.vault.azure.net/secrets/api", group_version="3"),
    ]
)
def azure_files() -> None:
    # The group is a URL, the file is called as the secret in it.
    assert read_file(os.environ["PASSWORD_FILE"]) == secrets().get("password") == "from Microsoft"
    assert secrets().get("api", group_version="3") == "as well"


@using({"type": "azure"}, managers={VAULT: "from Microsoft"}, envFiles=True)
@task(secret_requests=[Secret(group=VAULT, mount_requirement=ENV_VAR, env_var="PASSWORD")])
def azure_variable() -> None:
    # A URL cannot be in a variable's name, so that flytekit itself finds none.
    assert os.environ["PASSWORD"] == "from Microsoft"


CONFIDANT = {
    "type": "confidant",
    "url": "https://confidant.example",
    "authKey": "alias/auth",
    "region": "us-east-1",
    "authContext": {"to": "confidant"},
    "image": "confidant-client:1",
}


@using(CONFIDANT, managers={"db/password": "from Lyft", "api/key": "as well"})
@task(
    secret_requests=[
        Secret(group="db", key="password", mount_requirement=FILE, env_var="PASSWORD_FILE"),
        Secret(group="api", key="key"),
    ]
)
def confidant_files() -> None:
    assert secrets().get("db", "password") == "from Lyft"
    assert secrets().get("api", "key") == "as well"
    assert os.environ["PASSWORD_FILE"] == secrets().get_secrets_file("db", "password")


@using(CONFIDANT, managers={"db/password": "from Lyft"}, envFiles=True)
@task(secret_requests=[Secret(group="db", key="password", mount_requirement=ENV_VAR, env_var="PASSWORD")])
def confidant_variable() -> None:
    assert secrets().get("db", "password") == os.environ["PASSWORD"] == "from Lyft"


@using({"type": "vault", "role": "r"}, agents={"db#password": "from Vault", "team/api#key": "as well"})
@task(
    secret_requests=[
        Secret(group="db", key="password", mount_requirement=FILE, env_var="PASSWORD_FILE"),
        Secret(group="team/api", key="key"),
    ]
)
def vault_files() -> None:
    assert secrets().get("db", "password") == "from Vault"
    assert secrets().get("team/api", "key") == "as well"
    assert os.environ["PASSWORD_FILE"] == secrets().get_secrets_file("db", "password")


@using({"type": "csi"}, agents={"db/password": "from a driver", "api/key": "as well"})
@task(
    secret_requests=[
        Secret(group="db", key="password", mount_requirement=FILE, env_var="PASSWORD_FILE"),
        Secret(group="api", key="key"),
    ]
)
def csi_files() -> None:
    assert secrets().get("db", "password") == "from a driver"
    assert secrets().get("api", "key") == "as well"
    assert os.environ["PASSWORD_FILE"] == secrets().get_secrets_file("db", "password")


@using({"type": "csi", "secretName": "{group}-synced"}, agents={"db/password": "from a driver"})
@task(secret_requests=[Secret(group="db", key="password", mount_requirement=ENV_VAR, env_var="PASSWORD")])
def csi_variable() -> None:
    assert os.environ[secrets().get_secrets_env_var("db", "password")] == os.environ["PASSWORD"] == "from a driver"


BANK_VAULTS = {"type": "template", "env": [{"name": "{envVar}", "value": "vault:{group}#{key}"}]}


@using(BANK_VAULTS, agents={"vault:secret/data/db#password": "from Vault"})
@task(secret_requests=[Secret(group="secret/data/db", key="password", mount_requirement=ENV_VAR, env_var="PASSWORD")])
def template_variable() -> None:
    # A path cannot be in a variable's name, so that flytekit itself finds none.
    assert os.environ["PASSWORD"] == "from Vault"


@using(BANK_VAULTS, agents={"vault:db#password": "from Vault"})
@task(secret_requests=[Secret(group="db", key="password")])
def template_any() -> None:
    assert secrets().get("db", "password") == "from Vault"


VOLUME = {
    "type": "template",
    "path": "{group}/{key}",
    "volumes": [{"name": "{group}", "secret": {"secretName": "{group}"}}],
    "volumeMounts": [{"name": "{group}", "mountPath": "{mountPath}/{group}", "readOnly": True}],
}


@using(VOLUME)
@task(secret_requests=[Secret(group="db", key="password", mount_requirement=FILE, env_var="PASSWORD_FILE")])
def template_file() -> None:
    assert secrets().get("db", "password") == "s3cr3t"
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
    pod.passes(case, name)


def run(name):
    """Runs a task as flytekit's entrypoint does in a container."""
    with tempfile.TemporaryDirectory() as directory, setup_execution(raw_output_data_prefix=directory) as context:
        assert not context.execution_state.is_local_execution()
        TASKS[name][0].dispatch_execute(context, LiteralMap(literals={}))


if __name__ == "__main__":
    tests = {
        " ".join([name, *settings.values()]): lambda name=name, settings=settings: check(name, settings)
        for name in TASKS
        for settings in SETTINGS
    }
    sys.exit(pod.main(tests, run))
