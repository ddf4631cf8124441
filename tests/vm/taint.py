"""Reads by each way that may make a policy strict, each in a new cgroup, and prints for each way what had become of the policy.

taint.py CGROUP FOLDER network|files: CGROUP is a folder that is made anew for each way; a policy that denies `whoami` waits in
it. FOLDER is a root with `srv/uploads/file` and `srv/other`. What is sent comes from outside the cgroup. Prints `WAY strict`,
`WAY free`, or what went wrong.
"""

import ctypes
import mmap
import os
import socket
import struct
import sys

CGROUP, FOLDER = sys.argv[1], sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)


def runs():
    """Whether whoami runs, here and now."""
    pid = os.fork()
    if not pid:
        os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
        try:
            os.execv("/usr/bin/whoami", ["whoami"])
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def tcp(family=socket.AF_INET, address="127.0.0.1"):
    """Both ends of a connection; something was sent by the other."""
    server = socket.socket(family, socket.SOCK_STREAM)
    server.bind((address, 0))
    server.listen(1)
    own = socket.create_connection(server.getsockname()[:2])
    other = server.accept()[0]
    other.sendall(b"sent")
    return own, other


def udp():
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.bind(("127.0.0.1", 0))
    own.sendto(b"sent", own.getsockname())
    return own, None


def nothing():
    return None, None


def got(said):
    if said != b"sent":
        raise OSError(f"it read {said}")


def into_buffer(socket_, flags=0):
    buffer = bytearray(4)
    socket_.recvmsg_into([buffer], 0, flags)
    got(bytes(buffer))


def splice(socket_):
    out, into = os.pipe()
    count = libc.splice(socket_.fileno(), None, into, None, 4, 0)
    if count != 4:
        raise OSError(ctypes.get_errno(), "splice")
    got(os.read(out, 4))


def zerocopy(socket_):
    try:
        # TCP_ZEROCOPY_RECEIVE: who asks is told that it asks wrongly.
        socket_.getsockopt(socket.IPPROTO_TCP, 35, 64)
    except OSError:
        pass


def many(socket_):
    """recvmmsg"""
    buffer = ctypes.create_string_buffer(4)
    iovec = struct.pack("QQ", ctypes.addressof(buffer), 4)
    held = ctypes.create_string_buffer(iovec)
    message = struct.pack("QQQQQQQQ", 0, 0, ctypes.addressof(held), 1, 0, 0, 0, 0)
    asked = ctypes.create_string_buffer(message)
    if libc.syscall(299, socket_.fileno(), asked, 1, 0, None) != 1:
        raise OSError(ctypes.get_errno(), "recvmmsg")
    got(buffer.raw)


def io_uring(socket_):
    """struct io_uring_params and io_uring_sqe of include/uapi/linux/io_uring.h"""
    params = ctypes.create_string_buffer(120)
    ring = libc.syscall(425, 2, params)
    if ring < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    array = struct.unpack_from("I", params, 40 + 24)[0]
    tail = struct.unpack_from("I", params, 40 + 4)[0]
    queue = mmap.mmap(ring, array + 8)
    entries = mmap.mmap(ring, 128, offset=0x10000000)
    buffer = ctypes.create_string_buffer(4)
    struct.pack_into("BBHiQQII", entries, 0, 27, 0, 0, socket_.fileno(), 0, ctypes.addressof(buffer), 4, 0)
    struct.pack_into("I", queue, array, 0)
    struct.pack_into("I", queue, tail, 1)
    if libc.syscall(426, ring, 1, 1, 1, None, 0) != 1:
        raise OSError(ctypes.get_errno(), "io_uring_enter")
    got(buffer.raw)


def packets(_):
    """One packet, by reading from a socket that sees all."""
    own = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    udp()
    own.recv(100)


def ring_of_packets(_):
    """One packet, where the kernel puts it into memory: struct tpacket_req of include/uapi/linux/if_packet.h."""
    own = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    own.setsockopt(263, 5, struct.pack("IIII", 4096, 1, 2048, 2))
    memory = mmap.mmap(own.fileno(), 4096)
    udp()
    if not struct.unpack_from("Q", memory, 0)[0] & 1:
        raise OSError("no packet came")


def unix(_):
    one, other = socket.socketpair()
    other.sendall(b"sent")
    got(one.recv(4))


def netlink(_):
    own = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    # RTM_GETLINK
    own.send(struct.pack("IHHIIBxHiII", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0))
    own.recv(65536)


def pipe(_):
    out, into = os.pipe()
    os.write(into, b"sent")
    got(os.read(out, 4))


def answers(_):
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    client.sendall(b"sent")
    server.accept()


def in_root(act):
    def acts(_):
        os.chroot(FOLDER)
        os.chdir("/")
        act()

    return acts


def opens(path, flags=os.O_RDONLY):
    return in_root(lambda: os.open(path, flags))


NETWORK = [
    ("recv", tcp, lambda it: got(it.recv(4))),
    ("recv-udp", udp, lambda it: got(it.recv(4))),
    ("recv-ipv6", lambda: tcp(socket.AF_INET6, "::1"), lambda it: got(it.recv(4))),
    ("read", tcp, lambda it: got(os.read(it.fileno(), 4))),
    ("readv", tcp, lambda it: os.readv(it.fileno(), [bytearray(4)])),
    ("recvmsg", tcp, into_buffer),
    ("recvmmsg", udp, many),
    ("peek", tcp, lambda it: into_buffer(it, socket.MSG_PEEK)),
    ("io_uring", tcp, io_uring),
    ("packets", nothing, packets),
    ("splice", tcp, splice),
    ("zerocopy", tcp, zerocopy),
    ("ring-of-packets", nothing, ring_of_packets),
    ("unix", nothing, unix),
    ("netlink", nothing, netlink),
    ("pipe", nothing, pipe),
    ("accept", nothing, answers),
    ("send", tcp, lambda it: it.sendall(b"sent")),
    ("file-of-the-other-policy", nothing, opens("/srv/uploads/file")),
]
FILES = [
    ("read-file", nothing, opens("/srv/uploads/file")),
    ("list-folder", nothing, opens("/srv/uploads")),
    ("by-folder", nothing, in_root(lambda: (os.chdir("/srv/uploads"), os.open("file", os.O_RDONLY)))),
    ("read-and-write", nothing, opens("/srv/uploads/file", os.O_RDWR)),
    ("write-file", nothing, opens("/srv/uploads/file", os.O_WRONLY)),
    ("make-file", nothing, opens("/srv/uploads/made", os.O_WRONLY | os.O_CREAT)),
    ("stat-file", nothing, in_root(lambda: os.stat("/srv/uploads/file"))),
    ("other-file", nothing, opens("/srv/other")),
    ("name-only", nothing, opens("/srv/uploads/file", os.O_PATH)),
    ("recv-of-the-other-policy", tcp, lambda it: got(it.recv(4))),
]


def attempt(name, prepare, read):
    os.mkdir(CGROUP)
    # Made outside, and handed in.
    own, other = prepare()
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        with open(CGROUP + "/cgroup.procs", "w", encoding="ascii") as procs:
            procs.write("0")
        said = "not free from the start"
        try:
            if runs():
                root = os.open("/", os.O_RDONLY)
                read(own)
                os.fchdir(root)
                os.chroot(".")
                said = "free" if runs() else "strict"
        except OSError as error:
            said = f"failed: {error}"
        os.write(into, said.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    print(name, os.read(out, 1000).decode(), flush=True)
    os.rmdir(CGROUP)
    for one in (own, other):
        if one:
            one.close()
    os.close(out)
    os.close(into)


for way in NETWORK if sys.argv[3] == "network" else FILES:
    attempt(*way)
