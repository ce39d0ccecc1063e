"""The real Confidant server on 127.0.0.1:PORT, configured by its usual environment variables.

No release on PyPI from 6.1.0 on contains the package `confidant.services.certificate_authority`,
which the server imports when it starts. Only the routes that issue certificates use it, so empty
classes stand in for it.
"""
import sys
import types

PACKAGE = "confidant.services.certificate_authority"


def stand_in(name, *classes):
    module = types.ModuleType(name)
    module.__path__ = []
    for each in classes:
        setattr(module, each, type(each, (Exception,), {}))
    sys.modules[name] = module


stand_in(PACKAGE)
stand_in(PACKAGE + ".acmpca", "ACMPrivateCertificateAuthority")
stand_in(PACKAGE + ".customca", "CustomCertificateAuthority")
stand_in(
    PACKAGE + ".certificateauthoritybase",
    "CertificateAuthorityNotFoundError",
    "CertificateNotReadyError",
)

from confidant.wsgi import app  # noqa: E402
from confidant.utils.dynamodb import create_dynamodb_tables  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

create_dynamodb_tables()
WSGIServer(("127.0.0.1", int(sys.argv[1])), app).serve_forever()
