import json, os, subprocess, sys, tempfile


class Missing(ValueError):
    pass


def stop(problems):
    sys.exit("\n".join("confidant: " + problem for problem in problems))


def service_credentials(service, config):
    command = ["confidant", "--config-files", "/dev/stdin", "get_service", "--service=" + service]
    try:
        done = subprocess.run(command, input=config.encode(), stdout=subprocess.PIPE, timeout=120)
        answer = json.loads(done.stdout)
    except OSError as problem:
        stop(["cannot run `confidant` of the Python package confidant-client: %s" % problem])
    except subprocess.TimeoutExpired:
        stop(["no answer for service %r within two minutes" % service])
    except ValueError:
        stop(["the client gave no answer for service %r; see its messages above" % service])
    if done.returncode or not answer.get("result"):
        stop(["service %r: %s" % (service, answer.get("error", "the request failed, see above"))])
    if "service" not in answer:
        stop(["service %r does not exist" % service])
    found = [(c["name"], c["credential_pairs"]) for c in answer["service"]["credentials"]]
    blind = answer["service"].get("blind_credentials") or []
    return found + [(c["name"], c["decrypted_credential_pairs"]) for c in blind]


def value(credentials, service, group, key):
    named = [pairs for name, pairs in credentials if name == group]
    if not named:
        raise Missing("service %r has no credential %r" % (service, group))
    # The server keeps keys in lower case, whatever their author typed.
    values = [p[k] for p in named for k in dict.fromkeys([key, key.lower()]) if k in p][:2]
    if not values or values[0] is None:
        raise Missing("credential %r of service %r has no key %r" % (group, service, key))
    if len(values) > 1:
        raise ValueError("credential %r, key %r is ambiguous in service %r" % (group, key, service))
    text = values[0] if isinstance(values[0], str) else json.dumps(values[0])
    try:
        return text.encode()
    except UnicodeError:
        raise ValueError("credential %r, key %r is not valid Unicode" % (group, key)) from None


def write(path, data, mode):
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def main(env):
    os.umask(0o022)
    service = env["CONFIDANT_SERVICE"]
    credentials = service_credentials(service, env["CONFIDANT_CONFIG"])
    outputs, problems = [], []
    for request in json.loads(env["SECRET_REQUESTS"]):
        try:
            data = value(credentials, service, request["group"], request["key"])
            if "env" in request:
                outputs.append((request["path"], env_line(request["env"], data), 0o600))
            else:
                mode, _, path = request["path"].partition("/")
                outputs.append(("/" + path, data, int(mode or "644", 8)))
        except ValueError as problem:
            if not (isinstance(problem, Missing) and request.get("optional")):
                problems.append(str(problem))
                continue
            print("confidant: %s, so the Pod goes without it" % problem, file=sys.stderr)
            # To the kubelet, an empty file lacks the variable.
            if "env" in request:
                outputs.append((request["path"], b"", 0o600))
    if problems:
        stop(problems)
    try:
        for output in outputs:
            write(*output)
    except OSError as problem:
        stop([str(problem)])


main(os.environ)
