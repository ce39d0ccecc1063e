# FIELD: copies that field of the JSON object on the standard input, a string as it is, other values as compact JSON. With `*`
# and a DIRECTORY, writes each field to the file of its name. Says why it cannot, never what the input is.
import json, os, sys


def read(**numbers):
    return json.loads(text, parse_constant=int, **numbers)


def value_of(name):
    value = dict.__getitem__(fields, name)
    if type(value) in (int, float):
        value = exact[name]
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value.encode()


def path_of(name):
    if name in ("", ".", "..") or "/" in name or "\0" in name or len(name.encode()) > 255:
        sys.exit("the field %s can be no file's name" % ascii(name)[:99])
    return os.path.join(os.fsencode(sys.argv[2]), name.encode())


try:
    text = sys.stdin.buffer.read().decode()
    fields, exact = read(), read(parse_int=str, parse_float=str)
    if sys.argv[2:]:
        files = [(path_of(name), value_of(name)) for name in dict.keys(fields)]
    else:
        files = [(1, value_of(sys.argv[1]))]
except KeyError:
    sys.exit("the secret has no such field")
except Exception:
    sys.exit("the secret is not a JSON object")
for file, value in files:
    with open(file, "wb") as out:
        out.write(value)
