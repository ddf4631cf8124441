"""A shop's page that looks names up. It hands what it is given to a shell: that is the hole."""

import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/lookup":
            # The hole: `name` may be more than a name.
            found = subprocess.run(
                "getent hosts " + asked.get("name", ""), shell=True, capture_output=True, timeout=20
            )
            self.answer(found.stdout + found.stderr)
        else:
            self.answer(b"Welcome to the shop\n")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("0.0.0.0", 8000), Shop).serve_forever()
