//! Six different workloads that do some work and end by themselves or when they are told to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::command::wait_until;
use crate::machine::free_port;
use crate::programs::program;
use crate::rootfs::{self, Rootfs};

/// Where the workload's folder is mounted in the container.
pub const INSIDE: &str = "/work";
/// The name of the small image.
pub const BUSYBOX_IMAGE: &str = "ringfence.test/busybox:1";
/// The name of the large image.
pub const DEBIAN_IMAGE: &str = "ringfence.test/debian:1";
/// How long a workload may take, traced.
pub const LIMIT: Duration = Duration::from_secs(120);

const SHELL: &str = "\
cd /tmp
for i in $(seq 1 20); do echo line $i >> file; done
grep 1 file | sort -r | wc -l > count
cat /nothing/is/here 2> /dev/null
(sleep 0.1; true) &
ls -la / | head -n 3 > list
for f in file count list; do cp $f $f.copy && rm $f; done
wait
kill -0 $$
exec true
";

const PYTHON: &str = "\
import os, threading, time, tempfile, signal
def work(number):
    for i in range(20):
        with open(f'/tmp/{number}-{i}', 'w') as file:
            file.write('x' * 5000)
        os.unlink(f'/tmp/{number}-{i}')
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
for i in range(3):
    child = os.fork()
    if child == 0:
        os.execv('/bin/true', ['true'])
    os.waitpid(child, 0)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.pause()
for path in ('/nothing', '/etc/shadow'):
    try: open(path).read(1)
    except OSError: pass
";

const NODE: &str = "\
const fs = require('fs'), http = require('http'), { spawnSync } = require('child_process');
const { Worker } = require('worker_threads');
for (let i = 0; i < 20; i++) { fs.writeFileSync('/tmp/' + i, 'x'.repeat(5000)); fs.unlinkSync('/tmp/' + i); }
try { fs.readFileSync('/nothing'); } catch (error) {}
spawnSync('/bin/true');
const worker = new Worker('require(\"fs\").readdirSync(\"/\")', { eval: true });
worker.on('exit', () => {
  const server = http.createServer((request, response) => response.end('hello'));
  server.listen(0, '127.0.0.1', () => {
    let left = 10;
    const ask = () => http.get({ port: server.address().port, host: '127.0.0.1', agent: false }, (response) => {
      response.resume();
      response.on('end', () => { if (--left > 0) ask(); else server.close(); });
    });
    ask();
  });
});
";

/// A workload and how it is driven.
#[derive(Debug)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// Its command line in the container.
    pub args: Vec<String>,
    root: Root,
    folder: TempDir,
    port: u16,
    drive: Drive,
}

#[derive(Clone, Copy, Debug)]
enum Root {
    Busybox,
    Debian,
}

#[derive(Clone, Copy, Debug)]
enum Drive {
    EndsByItself,
    Nginx,
    Redis,
}

/// Their names.
pub const NAMES: [&str; 6] = ["shell", "c-threads", "python3", "nginx", "redis", "node"];

impl Workload {
    /// One by its name.
    pub fn new(name: &'static str) -> Result<Workload> {
        let folder = tempfile::Builder::new().prefix("ringfence-work").tempdir()?;
        let port = free_port()?;
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        let (root, drive, args): (Root, Drive, Vec<String>) = match name {
            "shell" => {
                write("script", SHELL)?;
                (Root::Busybox, Drive::EndsByItself, words("/bin/sh /work/script"))
            }
            "c-threads" => {
                std::fs::copy(program("workload")?, folder.path().join("workload"))?;
                (Root::Busybox, Drive::EndsByItself, words("/work/workload /tmp"))
            }
            "python3" => {
                write("script", PYTHON)?;
                (Root::Debian, Drive::EndsByItself, words("/usr/bin/python3 /work/script"))
            }
            "node" => {
                write("script.js", NODE)?;
                (Root::Debian, Drive::EndsByItself, words("/usr/bin/node /work/script.js"))
            }
            "nginx" => {
                write("nginx.conf", &nginx_config(port))?;
                (Root::Debian, Drive::Nginx, words("/usr/sbin/nginx -c /work/nginx.conf"))
            }
            "redis" => {
                let args = format!("/usr/bin/redis-server --bind 127.0.0.1 --port {port} --appendonly no --dir /tmp");
                (Root::Debian, Drive::Redis, words(&args))
            }
            _ => anyhow::bail!("no workload {name}"),
        };
        Ok(Workload { name, args, root, folder, port, drive })
    }

    /// The root file system that it needs.
    pub fn rootfs(&self) -> Result<Rootfs> {
        match self.root {
            Root::Busybox => rootfs::busybox(),
            Root::Debian => rootfs::debian(),
        }
    }

    /// The name of the image that it needs.
    pub fn image(&self) -> &'static str {
        match self.root {
            Root::Busybox => BUSYBOX_IMAGE,
            Root::Debian => DEBIAN_IMAGE,
        }
    }

    /// The folder to be mounted at [`INSIDE`].
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Gives it work until it is done, and tells it to end. `pid` is its init's.
    pub fn drive(&self, pid: u32) -> Result<()> {
        match self.drive {
            Drive::EndsByItself => Ok(()),
            Drive::Nginx => {
                for i in 0..30 {
                    let (path, expected) = if i % 3 == 0 { ("/nothing", "404") } else { ("/", "200") };
                    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
                    let answer = self.ask(request.as_bytes(), usize::MAX)?;
                    ensure!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "nginx answers {answer:?}");
                }
                let init = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("no pid")?;
                rustix::process::kill_process(init, Signal::QUIT).context("end nginx")
            }
            Drive::Redis => {
                for i in 0..30 {
                    ensure!(self.ask(format!("SET key{i} value{i}\r\n").as_bytes(), 5)? == "+OK\r\n", "redis: SET");
                }
                ensure!(self.ask(b"GET key7\r\n", 12)? == "$6\r\nvalue7\r\n", "redis: GET");
                ensure!(self.ask(b"NONSENSE\r\n", 4)? == "-ERR", "redis: an error");
                self.ask(b"SHUTDOWN NOSAVE\r\n", usize::MAX).map(drop)
            }
        }
    }

    /// One connection, one question, at most that many bytes of an answer.
    fn ask(&self, question: &[u8], most: usize) -> Result<String> {
        let mut stream = None;
        wait_until(&format!("{} listens", self.name), Duration::from_secs(60), || {
            stream = TcpStream::connect(("127.0.0.1", self.port)).ok();
            Ok(stream.is_some())
        })?;
        let mut stream = stream.context("no connection")?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(question)?;
        let mut answer = Vec::new();
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        match stream.take(most).read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => return Err(error).context("read the answer"),
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn nginx_config(port: u16) -> String {
    format!(
        "daemon off;\nworker_processes 2;\npid /tmp/nginx.pid;\nerror_log /tmp/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log /tmp/access.log; server {{ listen 127.0.0.1:{port}; root /usr/share/nginx/html;\n\
         location = / {{ return 200 'hello'; }} }} }}\n"
    )
}
