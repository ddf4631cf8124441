"""Does deeds that guards may deny, each by a system call of its own, and prints how each ended: `NAME ok` or `NAME ERRNO`.

deeds.py PORT FREE: a server of ours listens on both ports of 127.0.0.1 and ::1, so that a connection that is let pass works.
"""

import ctypes
import errno
import os
import socket
import struct
import sys

PORT, FREE = int(sys.argv[1]), int(sys.argv[2])
LISTENED, UNLISTENED = PORT + 10, FREE + 10
libc = ctypes.CDLL(None, use_errno=True)


def attempt(name, act):
    try:
        act()
        print(name, "ok")
    except OSError as error:
        print(name, errno.errorcode[error.errno])


def call(number, *arguments):
    """A system call by its number, here of x86-64."""
    if libc.syscall(ctypes.c_long(number), *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")


def connect(family, kind, address):
    with socket.socket(family, kind) as own:
        own.settimeout(5)
        own.connect(address)


def send(flags, kind, address):
    with socket.socket(socket.AF_INET, kind) as own:
        own.sendto(b"x", flags, address)


def send_unspecified():
    """Datagrams of IPv4 go to an address whose family is none, too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        address = struct.pack("=H", socket.AF_UNSPEC) + struct.pack("!H", PORT) + bytes([127, 0, 0, 1]) + bytes(8)
        if libc.sendto(own.fileno(), b"x", 1, 0, address, len(address)) < 0:
            raise OSError(ctypes.get_errno(), "")


def listen(port, family=socket.AF_INET, bound=True):
    with socket.socket(family, socket.SOCK_STREAM) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if bound:
            own.bind(("", port))
        own.listen()


def bind(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("", port))


def raw():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()


def memory():
    try:
        os.close(os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY))
    except PermissionError as error:
        # The kernel says EACCES here, whatever it was refused by.
        raise OSError(errno.EPERM, "") from error


def read_memory():
    """process_vm_readv of one byte of the parent."""
    with open(f"/proc/{os.getppid()}/maps") as maps:
        there = int(maps.readline().split("-")[0], 16)
    byte = ctypes.create_string_buffer(1)
    own, other = (ctypes.c_size_t * 2)(ctypes.addressof(byte), 1), (ctypes.c_size_t * 2)(there, 1)
    call(310, ctypes.c_long(os.getppid()), own, ctypes.c_long(1), other, ctypes.c_long(1), ctypes.c_long(0))


def module_of_file():
    with open("/etc/hostname", "rb") as file:
        call(313, ctypes.c_int(file.fileno()), b"", ctypes.c_int(0))


def module_of_memory():
    call(175, b"\0" * 64, ctypes.c_long(64), b"")


stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
# Denied inside.
attempt("connect-tcp", lambda: connect(socket.AF_INET, stream, ("127.0.0.1", PORT)))
attempt("connect-tcp6", lambda: connect(socket.AF_INET6, stream, ("::1", PORT)))
attempt("connect-mapped", lambda: connect(socket.AF_INET6, stream, ("::ffff:127.0.0.1", PORT)))
attempt("connect-zeros", lambda: connect(socket.AF_INET, stream, ("0.0.0.0", PORT)))
attempt("connect-zeros6", lambda: connect(socket.AF_INET6, stream, ("::", PORT)))
attempt("connect-udp", lambda: connect(socket.AF_INET, datagram, ("127.0.0.1", PORT)))
attempt("connect-send", lambda: send(0, datagram, ("127.0.0.1", PORT)))
attempt("connect-unspecified", send_unspecified)
attempt("connect-fast", lambda: send(socket.MSG_FASTOPEN, stream, ("127.0.0.1", PORT)))
attempt("listen-tcp", lambda: listen(LISTENED))
attempt("listen-tcp6", lambda: listen(LISTENED, socket.AF_INET6))
attempt("listen-unbound", lambda: listen(0, bound=False))
attempt("listen-udp", lambda: bind(LISTENED))
attempt("capability-raw", raw)
attempt("ptrace-memory", memory)
attempt("ptrace-read", read_memory)
attempt("module-file", module_of_file)
attempt("module-memory", module_of_memory)
# Never denied.
attempt("free-tcp", lambda: connect(socket.AF_INET, stream, ("127.0.0.1", FREE)))
attempt("free-tcp6", lambda: connect(socket.AF_INET6, stream, ("::1", FREE)))
attempt("free-send", lambda: send(0, datagram, ("127.0.0.1", FREE)))
attempt("free-listen", lambda: listen(UNLISTENED))
attempt("free-listen-any", lambda: listen(0))
attempt("free-bind-any", lambda: bind(0))
attempt("free-capability", lambda: os.chroot("/"))
attempt("free-look", lambda: os.readlink(f"/proc/{os.getppid()}/exe"))
