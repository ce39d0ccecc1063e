# Returns the line of a file of variables.
ENV_VALUE_LIMIT = 32768


def env_line(name, data):
    # What the kubelet reads back unchanged between single quotes (KEP-3721).
    checks = [
        (not data, "is empty"),
        (b"'" in data, "has a single quote"),
        (b"\0" in data, "has a NUL byte"),
        (b"\r\n" in data, "has a CR LF line end"),
        (len(data) > ENV_VALUE_LIMIT, "is longer than %d bytes" % ENV_VALUE_LIMIT),
    ]
    for wrong, why in checks:
        if wrong:
            message = "variable %s: its value %s, which an env file cannot hold; ask for a file instead"
            raise ValueError(message % (name, why))
    return name.encode() + b"='" + data + b"'\n"
