"""A DNS server that knows no name: every question is answered with 'no such name' (RFC 1035, code 3)."""

import socket

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 53))
while True:
    question, client = server.recvfrom(512)
    if len(question) < 12 or question[2] & 0x80:
        continue
    end = question.find(b"\0", 12) + 5  # the name, its type and class
    # The same id and question, no records; an answer, recursion is available, no such name.
    server.sendto(question[:2] + b"\x81\x83" + b"\0\1" + b"\0" * 6 + question[12:end], client)
