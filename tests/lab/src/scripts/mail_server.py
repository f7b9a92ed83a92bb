#!/usr/bin/env python3
"""A mail server that takes any login and any message, and writes down what arrived.

usage: mail_server.py LOG CERT|- KEY|- PORT…   One line per message: sender, recipients, bytes.
With a certificate it offers STARTTLS.
"""
import asyncio, socket, ssl, sys

from aiosmtpd.smtp import SMTP, AuthResult

log, certificate, key, ports = open(sys.argv[1], "a", buffering=1), sys.argv[2], sys.argv[3], sys.argv[4:]
context = None
if certificate != "-":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)


class Inbox:
    async def handle_DATA(self, server, session, envelope):
        log.write(f"{envelope.mail_from} {','.join(envelope.rcpt_tos)} {len(envelope.content)}\n")
        return "250 2.0.0 Ok: queued"


def session():
    return SMTP(Inbox(), hostname="mx.example.net", data_size_limit=64 << 20, tls_context=context, auth_require_tls=False,
                authenticator=lambda *_: AuthResult(success=True))


async def main():
    for port in ports:
        listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
        await asyncio.get_running_loop().create_server(session, sock=listener)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
