# ring.py FILE [write] : one open by io_uring: struct io_uring_params and io_uring_sqe of include/uapi/linux/io_uring.h.
import ctypes, mmap, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
params = ctypes.create_string_buffer(120)
ring = libc.syscall(425, 2, params)
if ring < 0:
    sys.exit("no io_uring: " + os.strerror(ctypes.get_errno()))
head, tail, mask, entries, flags, dropped, array = struct.unpack_from("7I", params, 40)
completed = struct.unpack_from("6I", params, 80)
size = max(array + 4 * 2, completed[5] + 16 * 4)
queues = mmap.mmap(ring, size, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
submitted = mmap.mmap(ring, 64 * 2, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ | mmap.PROT_WRITE, offset=0x10000000)
flags = os.O_WRONLY if sys.argv[2:] == ["write"] else os.O_RDONLY
path = ctypes.create_string_buffer(sys.argv[1].encode())
struct.pack_into("<BBHiQQIIQ", submitted, 0, 18, 0, 0, -100, 0, ctypes.addressof(path), 0, flags, 7)
struct.pack_into("<I", queues, array, 0)
struct.pack_into("<I", queues, tail, 1)
if libc.syscall(426, ring, 1, 1, 1, None, 0) < 0:
    sys.exit("no enter: " + os.strerror(ctypes.get_errno()))
result = struct.unpack_from("<Qi", queues, completed[5])[1]
sys.exit(0 if result >= 0 else os.strerror(-result))
