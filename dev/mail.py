"""The mail server of dev/check-mail: STARTTLS and a password, or nothing. It keeps what it gets; --read looks at that.

    mail.py CERTIFICATES FOLDER     serve; the port is in FOLDER/port
    mail.py --read FOLDER           check every message with Python's own reader
"""

import email
import email.policy
import pathlib
import socket
import ssl
import sys
import threading

HEADERS = ["From", "Subject", "Message-ID", "Auto-Submitted", "To", "MIME-Version", "Date", "Content-Type"]
PEOPLE = ["ada@example.com", "bob@example.com"]
LOGIN = (b"ci", b"correct horse battery")


def serve(certificates, folder):
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    class Keep:
        count = 0

        async def handle_DATA(self, server, session, envelope):
            assert session.ssl and session.authenticated and envelope.rcpt_tos == PEOPLE
            Keep.count += 1
            (folder / f"{Keep.count}.eml").write_bytes(envelope.original_content)
            return "250 taken"

    def known(server, session, envelope, mechanism, data):
        # Not `handled`: the server is to answer.
        return AuthResult(success=(data.login, data.password) == LOGIN, handled=False)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    # The controller tries the port that it is told, so 0 will not do.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(Keep(), hostname="127.0.0.1", port=port, tls_context=tls, require_starttls=True,
                        authenticator=known, auth_required=True, auth_require_tls=True, ready_timeout=10)
    server.start()
    (folder / "port").write_text(f"{port}\n")
    threading.Event().wait()


def read(folder):
    files = sorted(folder.glob("*.eml"))
    assert len(files) == 4, files
    for file in files:
        message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        assert message.keys() == HEADERS, message.keys()
        addresses = [address.addr_spec for address in message["To"].addresses]
        assert addresses == PEOPLE, addresses
        assert [address.display_name for address in message["To"].addresses][1] == "Bob, the builder"
        parts = list(message.walk())
        assert [part.get_content_type() for part in parts] == ["multipart/alternative", "text/plain", "text/html"]
        for part in parts:
            assert not part.defects, part.defects
        plain, html = (part.get_content() for part in parts[1:])
        # The same subject in all three, however it was coded on the way.
        assert plain.splitlines()[0] == message["Subject"], (plain.splitlines()[0], message["Subject"])
        assert "<script" not in html and "\x1b" not in plain + html
        print(message["Subject"])


if sys.argv[1] == "--read":
    read(pathlib.Path(sys.argv[2]))
else:
    serve(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
