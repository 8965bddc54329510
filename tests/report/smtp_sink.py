"""A mail server on loopback that keeps nothing: says its port, then a line of JSON for each mail it takes.

    smtp_sink.py CERTIFICATE KEY [busy]

STARTTLS and the user `podfit` with the password `correct horse` are required; without a certificate (two hyphens) there
is no TLS. With `busy` the first mail is told to come again.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Sink:
    def __init__(self, busy):
        self.busy = busy

    async def handle_DATA(self, server, session, envelope):
        if self.busy:
            self.busy = False
            return "451 come again later"
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "data": envelope.content.decode("utf-8", "replace"),
        }
        print(json.dumps(mail), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    known = (data.login, data.password) == (b"podfit", b"correct horse")
    return AuthResult(success=known, handled=False)


async def main():
    certificate, key = sys.argv[1:3]
    context = None
    if certificate != "--":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    sink = Sink("busy" in sys.argv[3:])

    def factory():
        if context is None:
            return SMTP(sink)
        return SMTP(sink, tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True)

    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
