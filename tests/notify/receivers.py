#!/usr/bin/env python3
"""Those who are told: each prints what it has received, one JSON object a line.

usage: receivers.py smtp PORT CERT KEY   mail with STARTTLS and a login, user:password
       receivers.py http PORT [CERT KEY]  an SMS gateway, a chat and a webhook; $FAIL answers 503 first
       receivers.py udp PORT | tcp PORT   syslog
"""
import asyncio, hashlib, hmac, http.server, json, os, socket, socketserver, ssl, sys, urllib.parse
from email import message_from_bytes, policy

kind, port = sys.argv[1], int(sys.argv[2])
address = ("127.0.0.1", port)


def tell(**fields):
    # One write for each line: what two threads print at once gets mixed up.
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    return context


def smtp():
    from aiosmtpd.smtp import SMTP, AuthResult

    class Inbox:
        async def handle_DATA(self, server, session, envelope):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            part = lambda kind: mail.get_body((kind,)).get_content()
            tell(kind="mail", id=mail["Message-ID"], to=envelope.rcpt_tos, subject=mail["Subject"], text=part("plain"),
                 html=part("html"), tls=session.ssl is not None, login=session.authenticated)
            return "250 2.0.0 Ok"

        async def handle_RCPT(self, server, session, envelope, recipient, options):
            if recipient.startswith("nobody@"):
                return "550 5.1.1 no such mailbox"
            envelope.rcpt_tos.append(recipient)
            return "250 Ok"

    def login(server, session, envelope, mechanism, given):
        return AuthResult(success=(given.login, given.password) == (b"user", b"password"))

    async def main():
        make = lambda: SMTP(Inbox(), tls_context=tls(), require_starttls=True, auth_required=True, authenticator=login)
        await asyncio.get_running_loop().create_server(make, *address)
        tell(kind="ready")
        await asyncio.Event().wait()

    asyncio.run(main())


class Gateway(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    failing = int(os.environ.get("FAIL", "0"))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 204
        if Gateway.failing:
            Gateway.failing -= 1
            status = 503
        else:
            self.received(body)
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
        self.end_headers()

    def received(self, body):
        if self.path == "/sms":
            form = urllib.parse.parse_qs(body.decode(), strict_parsing=True)
            tell(kind="sms", id=form["Id"][0], to=form["To"], text=form["Body"][0], login=self.headers["Authorization"])
        elif self.path == "/chat":
            tell(kind="chat", id=self.headers["X-Detector-Delivery"], text=json.loads(body)["text"])
        elif self.path == "/hook":
            timestamp = self.headers["X-Detector-Timestamp"]
            expected = hmac.new(b"opensesame", timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
            tell(kind="hook", id=self.headers["X-Detector-Delivery"], body=json.loads(body),
                 valid=hmac.compare_digest("sha256=" + expected, self.headers["X-Detector-Signature"]))

    def log_message(self, *arguments):
        pass


def web():
    server = http.server.ThreadingHTTPServer(address, Gateway)
    if len(sys.argv) > 3:
        server.socket = tls().wrap_socket(server.socket, server_side=True)
    tell(kind="ready")
    server.serve_forever()


def line(text):
    fields = text.decode().split(" ", 7)
    tell(kind="syslog", id=text.split(b'id="')[1].split(b'"')[0].decode() if b'id="' in text else None,
         head=fields[0], app=fields[3], message_id=fields[5], rest=fields[6] + " " + fields[7])


def udp():
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(address)
    tell(kind="ready")
    while True:
        line(receiver.recv(65536))


class Counted(socketserver.StreamRequestHandler):
    def handle(self):
        while count := b"".join(iter(lambda: self.rfile.read(1), b" ")) if self.rfile.peek(1) else b"":
            line(self.rfile.read(int(count)))


class Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


def tcp():
    server = Tcp(address, Counted)
    tell(kind="ready")
    server.serve_forever()


{"smtp": smtp, "http": web, "udp": udp, "tcp": tcp}[kind]()
