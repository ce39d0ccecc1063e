"""Reads an env file by the rules of the kubelet of Kubernetes 1.35 (KEP-3721)."""


def parse(content, key):
    """The value of `key` (bytes), or an empty one when it is absent, as in the kubelet."""
    lines = content.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if any(len(line) >= 65535 for line in lines):
        raise ValueError("a line is too long")
    # The scanner drops one CR before each LF.
    lines = iter([line[:-1] if line.endswith(b"\r") else line for line in lines])
    for line in lines:
        line = line.lstrip(b" \t")
        if not line or line.startswith(b"#"):
            continue
        name, equals, rest = line.partition(b"=")
        if not equals or not name or name != name.rstrip(b" \t"):
            raise ValueError("not a NAME='value' line")
        if rest.startswith((b" ", b"\t")):
            if name == key.encode():
                return b""
            continue
        if not rest.startswith(b"'"):
            raise ValueError("a value without single quotes")
        value, rest = b"", rest[1:]
        while b"'" not in rest:
            value += rest + b"\n"
            rest = next(lines, None)
            if rest is None:
                raise ValueError("an unclosed quote")
        last, _, after = rest.partition(b"'")
        after = after.lstrip(b" \t")
        if after and not after.startswith(b"#"):
            raise ValueError("something after the closing quote")
        if name == key.encode():
            return value + last
    return b""
