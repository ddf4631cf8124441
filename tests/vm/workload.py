# Makes, renames, links and removes files, talks over sockets, and starts, ends and looks at processes.
import json, os, signal, socket, subprocess, tempfile, threading
os.chdir("/opt/ringfence-tested/data")
with open("first.%d" % os.getpid(), "w") as file:
    file.write("x")
os.rename(file.name, "second"), os.link("second", "third"), os.symlink("third", "fourth")
assert open("fourth").read() == "x"
os.mkdir("folder"), os.rmdir("folder")
for name in ("second", "third", "fourth"):
    os.unlink(name)
with tempfile.TemporaryFile() as file:
    file.write(b"y")
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
client = socket.create_connection(server.getsockname())
path = "/opt/ringfence-tested/data/socket"
local = socket.socket(socket.AF_UNIX)
local.bind(path), local.listen()
socket.socket(socket.AF_UNIX).connect(path)
os.unlink(path)
child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
# It runs when it answers: one that is ended earlier may have started nothing.
child.stdin.write(b"line\n"), child.stdin.flush()
assert child.stdout.readline() == b"line\n"
child.send_signal(signal.SIGTERM)
assert child.wait() == -signal.SIGTERM
assert "Pid:" in open("/proc/self/status").read() and os.listdir("/proc/self/fd")
thread = threading.Thread(target=lambda: os.listdir("/opt/ringfence-tested"))
thread.start(), thread.join()
print(json.dumps("worked"))
