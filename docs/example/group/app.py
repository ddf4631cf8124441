"""The shop: counts visits in redis, looks prices up in PostgreSQL, and shows pictures. /picture has a bug."""

import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import psycopg2

PICTURES = "/srv/pictures"


def count_visit(item):
    with socket.create_connection(("cache", 6379), timeout=5) as cache:
        key = f"visits:{item}".encode()
        cache.sendall(b"*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n" % (len(key), key))
        return int(cache.makefile("rb").readline().lstrip(b":"))


def price_of(item):
    # By a unix socket: the folder is a volume that both containers have.
    with psycopg2.connect(host="/run/postgresql", dbname="postgres", user="app", connect_timeout=5) as db:
        with db.cursor() as cursor:
            cursor.execute("SELECT cents FROM prices WHERE name = %s", [item])
            found = cursor.fetchone()
    db.close()
    return found and found[0]


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/item":
            item = asked.get("name", "")
            cents = price_of(item)
            visits = count_visit(item)
            self.answer(200 if cents else 404, f"{item}: {cents} cents, visit {visits}\n".encode())
        elif url.path == "/picture":
            # The bug: nothing keeps the name within the folder.
            try:
                with open(os.path.join(PICTURES, asked.get("file", "")), "rb") as picture:
                    self.answer(200, picture.read())
            except OSError:
                self.answer(404, b"no such picture\n")
        else:
            self.answer(200, b"Welcome to the shop\n")

    def answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("0.0.0.0", 8000), Shop).serve_forever()
