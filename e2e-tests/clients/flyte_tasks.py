"""Flyte 2: tasks of the flyte SDK find their secrets where it promises them: in the variables that `flyte.Secret`
names, and in files below /etc/flyte/secrets. Each task below runs in its container.

    flyte_tasks.py             runs all of them
    flyte_tasks.py --run TASK  is the task's container
"""

import os
import pathlib
import sys

import flyte
from flyte._bin.runtime import _UNION_EAGER_API_KEY_ENV_VAR
from flyte._internal.imagebuild.remote_builder import _get_build_secrets_from_image
from flyte._internal.runtime.task_serde import translate_task_to_wire
from flyte.models import SerializationContext
from flyteidl2.core.security_pb2 import Secret

import pod

# The only directory that the SDK takes.
MOUNT = pathlib.Path("/etc/flyte/secrets")

# What Flyte 2 keeps for `flyte create secret`: one Secret each, called by the MD5 of its only key.
PROJECT = "u__org__acme__domain__production__project__shop__key__"
ORGANIZATION = "u__org__acme__domain____project____key__"
FLYTE_SECRETS = {
    "3f32b60754c2f15a8a92f018bf6074db": {f"{PROJECT}token": "t0k3n"},
    "98ac594631ce7e8bee3ec4d9ee0cb18d": {f"{PROJECT}Cert.pem": "-----BEGIN\n"},
    "82aff5b1dfc760359a0cdd01771d92b8": {f"{ORGANIZATION}EAGER_API_KEY": "a key"},
}

CLUSTER = {
    # A secret without a group: the Secret is called by the MD5 of its key.
    "shop-production/9d473c979ea0fcb4f569ba91f02f0b3d": {"openai-api-key": "sk-$(HOME)"},
    "shop-production/my-db": {"password": "s3cr3t", "ca.crt": "-----BEGIN\ncertificate\n"},
    "flyte-secrets/shared": {"token": "everybody's"},
    # What a CSI driver makes of a SecretProviderClass with secretObjects.
    "shop-production/my-db-synced": {"password": "from a driver"},
    **{f"shop-production/{name}": content for name, content in FLYTE_SECRETS.items()},
    **{f"flyte/{name}": content for name, content in FLYTE_SECRETS.items()},
}

TASKS = {}


def using(manager, *, secrets=(), backend=(), managers=None, agents=None, **settings):
    """Makes a task of a function: the manager that serves it, the secrets that it asks for and those that Flyte's
    backend adds, what the secret managers hold, and further settings of the policy."""

    def mark(function):
        name = function.__name__
        environment = flyte.TaskEnvironment(name=name.replace("_", "-"), secrets=list(secrets))
        settings["managers"] = [manager]
        TASKS[name] = (environment.task(function), backend, managers or {}, agents or {}, settings)
        return function

    return mark


KUBERNETES = {"type": "kubernetes"}


@using(
    KUBERNETES,
    secrets=[
        "openai-api-key",
        flyte.Secret("password", group="my-db"),
        flyte.Secret("ca.crt", group="my-db", as_env_var="CERTIFICATE"),
    ],
)
async def kubernetes_variables() -> None:
    # Those that are not named are called by group and key.
    assert os.environ["OPENAI_API_KEY"] == "sk-$(HOME)"
    assert os.environ["MY_DB_PASSWORD"] == "s3cr3t"
    assert os.environ["CERTIFICATE"] == "-----BEGIN\ncertificate\n"
    assert not MOUNT.exists()


@using(
    KUBERNETES,
    secrets=[
        flyte.Secret("password", group="my-db", mount=MOUNT),
        flyte.Secret("ca.crt", group="my-db", mount=MOUNT),
    ],
)
async def kubernetes_files() -> None:
    assert (MOUNT / "my-db" / "password").read_text() == "s3cr3t"
    assert (MOUNT / "my-db" / "ca.crt").read_text() == "-----BEGIN\ncertificate\n"
    assert "MY_DB_PASSWORD" not in os.environ


@using(KUBERNETES, secrets=[flyte.Secret("password", group="my-db", mount=MOUNT, as_env_var="PASSWORD")])
async def kubernetes_both() -> None:
    # The SDK asks for a variable then, and for no file.
    assert os.environ["PASSWORD"] == "s3cr3t"
    assert not MOUNT.exists()


@using({"type": "global", "authorize": "none"}, secrets=[flyte.Secret("token", group="shared")])
async def global_variable() -> None:
    assert os.environ["SHARED_TOKEN"] == "everybody's"


@using({"type": "flyte"}, secrets=["token", flyte.Secret("Cert.pem", as_env_var="CERTIFICATE")])
async def flyte_variables() -> None:
    assert os.environ["TOKEN"] == "t0k3n"
    assert os.environ["CERTIFICATE"] == "-----BEGIN\n"


@using({"type": "flyte"}, secrets=[flyte.Secret("token", mount=MOUNT), flyte.Secret("Cert.pem", mount=MOUNT)])
async def flyte_files() -> None:
    assert (MOUNT / "token").read_text() == "t0k3n"
    assert (MOUNT / "Cert.pem").read_text() == "-----BEGIN\n"


@using(
    {"type": "flyte", "literal": True, "organization": "acme"},
    secrets=["token", flyte.Secret("token", mount=MOUNT), flyte.Secret("Cert.pem", mount=MOUNT)],
)
async def flyte_literal() -> None:
    assert os.environ["TOKEN"] == "t0k3n"
    assert (MOUNT / "token").read_text() == "t0k3n"
    assert (MOUNT / "Cert.pem").read_text() == "-----BEGIN\n"


@using({"type": "flyte"}, backend=[Secret(key="EAGER_API_KEY", mount_requirement=Secret.ENV_VAR)])
async def flyte_key_of_the_sdk_itself() -> None:
    # The one variable that the SDK looks for by the prefix.
    assert os.environ[_UNION_EAGER_API_KEY_ENV_VAR] == "a key"


IMAGE = flyte.Image.from_debian_base(name="task", registry="r.example").with_pip_packages(
    "numpy", secret_mounts=[flyte.Secret("password", group="my-db"), "openai-api-key"]
)


@using(KUBERNETES, secrets=_get_build_secrets_from_image(IMAGE))
async def kubernetes_files_for_an_image() -> None:
    assert (MOUNT / "my-db" / "password").read_text() == "s3cr3t"
    assert (MOUNT / "9d473c979ea0fcb4f569ba91f02f0b3d" / "openai-api-key").read_text() == "sk-$(HOME)"


# The group and the key together are the secret's ARN.
ARN = "arn:aws:secretsmanager:eu-west-1:1:secret"
AWS = {f"{ARN}:password": "from Amazon"}


@using({"type": "aws", "client": "cli"}, secrets=[flyte.Secret("password", group=ARN, mount=MOUNT)], managers=AWS)
async def aws_file() -> None:
    assert (MOUNT / ARN / "password").read_text() == "from Amazon"


@using(
    {"type": "aws", "client": "cli"},
    secrets=[flyte.Secret("password", group=ARN, as_env_var="MY_DB_PASSWORD")],
    managers=AWS,
    envFiles=True,
)
async def aws_variable() -> None:
    assert os.environ["MY_DB_PASSWORD"] == "from Amazon"
    assert not MOUNT.exists()


@using(
    {"type": "aws"},
    secrets=[flyte.Secret("db-AbCdEf", group=f"{ARN}:", mount=MOUNT)],
    managers={f"{ARN}:db-AbCdEf": "from Amazon"},
)
async def aws_sidecar_file() -> None:
    # Flyte keeps files of AWS in lower case.
    assert (MOUNT / f"{ARN}:" / "db-abcdef").read_text() == "from Amazon"


AZURE = "https://v.vault.azure.net/secrets/password"


@using(
    {"type": "azure"},
    secrets=[flyte.Secret("any", group=AZURE, mount=MOUNT)],
    managers={AZURE: "from Microsoft"},
)
async def azure_file() -> None:
    assert (MOUNT / "password").read_text() == "from Microsoft"


@using(
    {"type": "azure"},
    secrets=[flyte.Secret("any", group=AZURE, as_env_var="PASSWORD")],
    managers={AZURE: "from Microsoft"},
    envFiles=True,
)
async def azure_variable() -> None:
    assert os.environ["PASSWORD"] == "from Microsoft"


CONFIDANT = {
    "type": "confidant",
    "url": "https://confidant.example",
    "authKey": "alias/auth",
    "region": "us-east-1",
    "authContext": {"to": "confidant"},
    "image": "confidant-client:1",
}
LYFT = {"my-db/password": "from Lyft"}


@using(CONFIDANT, secrets=[flyte.Secret("password", group="my-db", mount=MOUNT)], managers=LYFT)
async def confidant_file() -> None:
    assert (MOUNT / "my-db" / "password").read_text() == "from Lyft"


@using(CONFIDANT, secrets=[flyte.Secret("password", group="my-db")], managers=LYFT, envFiles=True)
async def confidant_variable() -> None:
    assert os.environ["MY_DB_PASSWORD"] == "from Lyft"


@using(
    {"type": "vault", "role": "r"},
    secrets=[flyte.Secret("password", group="my-db", mount=MOUNT)],
    agents={"my-db#password": "from Vault"},
)
async def vault_file() -> None:
    assert (MOUNT / "my-db" / "password").read_text() == "from Vault"


@using(
    {"type": "csi"},
    secrets=[flyte.Secret("password", group="my-db", mount=MOUNT)],
    agents={"my-db/password": "from a driver"},
)
async def csi_file() -> None:
    assert (MOUNT / "my-db" / "password").read_text() == "from a driver"


@using(
    {"type": "csi", "secretName": "{group}-synced"},
    secrets=[flyte.Secret("password", group="my-db")],
    agents={"my-db/password": "from a driver"},
)
async def csi_variable() -> None:
    assert os.environ["MY_DB_PASSWORD"] == "from a driver"


@using(
    {"type": "template", "env": [{"name": "{envVar}", "value": "vault:{group}#{key}"}]},
    secrets=[flyte.Secret("password", group="my-db")],
    agents={"vault:my-db#password": "from Vault"},
)
async def template_variable() -> None:
    assert os.environ["MY_DB_PASSWORD"] == "from Vault"


VOLUME = {
    "type": "template",
    "path": "{group}/{key}",
    "volumes": [{"name": "{group}", "secret": {"secretName": "{group}"}}],
    "volumeMounts": [{"name": "{group}", "mountPath": "{mountPath}/{group}", "readOnly": True}],
}


@using(VOLUME, secrets=[flyte.Secret("password", group="my-db", mount=MOUNT)])
async def template_file() -> None:
    assert (MOUNT / "my-db" / "password").read_text() == "s3cr3t"


def check(name):
    task, backend, managers, agents, settings = TASKS[name]
    # What the SDK sends to Flyte's backend.
    context = SerializationContext(project="shop", domain="production", version="1", root_dir=pod.HERE)
    specification = translate_task_to_wire(task, context).task_template
    case = pod.Case(
        settings=settings,
        secrets=[*specification.security_context.secrets, *backend],
        cluster=CLUSTER,
        managers=managers,
        agents=agents,
    )
    pod.passes(case, name)


def run(name):
    flyte.init()
    flyte.with_runcontext(mode="local").run(TASKS[name][0])


if __name__ == "__main__":
    sys.exit(pod.main({name: lambda name=name: check(name) for name in TASKS}, run))
