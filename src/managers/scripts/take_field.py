# FIELD: copies that field of the JSON object on the standard input, a string as it is, other values as compact JSON. Says
# why it cannot, never what the input is.
import json, sys


def read(**numbers):
    return json.loads(text, parse_constant=int, **numbers)


try:
    text = sys.stdin.buffer.read().decode()
    value = dict.__getitem__(read(), sys.argv[1])
    if type(value) in (int, float):
        value = read(parse_int=str, parse_float=str)[sys.argv[1]]
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    value = value.encode()
except KeyError:
    sys.exit("the secret has no such field")
except Exception:
    sys.exit("the secret is not a JSON object")
sys.stdout.buffer.write(value)
