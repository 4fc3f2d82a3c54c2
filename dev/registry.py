#!/usr/bin/env python3
"""Owns: a registry that fails as the repository's name asks.

  fail/STATUS          every manifest request is answered with STATUS (401, 403, 404, 429, 500, 503)
  fail/STATUS-twice    the first two attempts are, then it serves the upstream's argon-dev/busybox
  stall/manifest       a manifest request is accepted and never answered
  stall/blob           the manifest is served, each blob stops after 1 KB (upstream: argon-dev/fresh)
  anything else        the upstream, unchanged

GET /count/NAME tells how often NAME's manifest was asked for (by GET); POST /reset forgets all counts.
"""

import argparse
import http.client
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "MANIFEST_UNKNOWN", 429: "TOOMANYREQUESTS"}
PATH = re.compile(r"^/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<ref>[^/]+)$")
FAIL = re.compile(r"^fail/(?P<status>\d{3})(?P<twice>-twice)?$")
PASSED_ON = ("Content-Type", "Docker-Content-Digest", "Etag", "Location")


class Counts:
    """How often each repository's manifest was asked for by GET."""

    def __init__(self):
        self.lock = threading.Lock()
        self.seen = {}

    def add(self, name):
        with self.lock:
            self.seen[name] = self.seen.get(name, 0) + 1
            return self.seen[name]

    def get(self, name):
        with self.lock:
            return self.seen.get(name, 0)

    def reset(self):
        with self.lock:
            self.seen.clear()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def do_POST(self):
        if self.path == "/reset":
            self.server.counts.reset()
            self.reply(204, b"")
        else:
            self.error(405)

    def answer(self):
        if self.path in ("/v2", "/v2/"):
            return self.reply(200, b"{}")
        if self.path.startswith("/count/"):
            return self.reply(200, str(self.server.counts.get(self.path[len("/count/") :])).encode())
        found = PATH.match(self.path)
        if not found:
            return self.error(404)
        name, kind, ref = found["name"], found["kind"], found["ref"]
        # A client asks by HEAD and then by GET: only the GET is counted, so that one attempt is one.
        counted = kind == "manifests" and self.command == "GET"
        before = self.server.counts.add(name) - 1 if counted else self.server.counts.get(name)
        fail = FAIL.match(name)
        if fail:
            if kind == "manifests" and (not fail["twice"] or before < 2):
                return self.error(int(fail["status"]))
            return self.proxy("argon-dev/busybox", kind, ref)
        if name == "stall/manifest":
            return self.stall()
        if name == "stall/blob":
            return self.proxy("argon-dev/fresh", kind, ref, stall_after=1024 if kind == "blobs" else None)
        return self.proxy(name, kind, ref)

    def proxy(self, name, kind, ref, stall_after=None):
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=30)
        headers = {"Accept": ", ".join(self.headers.get_all("Accept") or ["*/*"])}
        upstream.request(self.command, f"/v2/{name}/{kind}/{ref}", headers=headers)
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for header in PASSED_ON:
            if value := answer.getheader(header):
                self.send_header(header, value)
        self.send_header("Content-Length", answer.getheader("Content-Length", "0"))
        self.end_headers()
        if self.command == "HEAD":
            return
        if stall_after is not None:
            self.wfile.write(answer.read(stall_after))
            self.wfile.flush()
            return self.stall()
        while chunk := answer.read(65536):
            self.wfile.write(chunk)

    def stall(self):
        """Holds the connection until the client gives up."""
        self.close_connection = True
        self.connection.settimeout(3600)
        try:
            self.connection.recv(1)
        except OSError:
            pass

    def error(self, status):
        code = CODES.get(status, "UNKNOWN")
        body = {"errors": [{"code": code, "message": f"this repository always answers {status}"}]}
        extra = {"Retry-After": "1"} if status == 429 else {}
        if status == 401:
            extra["WWW-Authenticate"] = 'Basic realm="argon"'
        self.reply(status, json.dumps(body).encode(), extra)

    def reply(self, status, body, extra=None):
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for header, value in (extra or {}).items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format, *args):
        print(time.strftime("%H:%M:%S"), format % args, flush=True)


def main():
    options = argparse.ArgumentParser(description="A registry that fails as the repository's name asks.")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--upstream", required=True, help="HOST:PORT of a registry that works")
    options.add_argument("--state", help="names the caller's state folder, by which it finds this process again")
    chosen = options.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", chosen.port), Handler)
    server.daemon_threads = True
    server.upstream = chosen.upstream
    server.counts = Counts()
    server.serve_forever()


main()
