//! What is proved: ten workloads, most of which serve something on one port of loopback.

use std::path::Path;

use anyhow::Result;

use crate::programs::program;

/// The port of whatever listens, on loopback.
const PORT: u16 = 18_080;

/// Something to run.
#[derive(Debug)]
pub struct Workload {
    /// What it is called.
    pub name: &'static str,
    /// Whether it is of the small image.
    pub small: bool,
    /// What it runs: words.
    pub command: Vec<String>,
    /// What tells that it works; none if it ends by itself.
    pub check: Option<String>,
}

/// One workload; it ends by itself if there is no check.
pub fn workload(name: &'static str, command: &[&str], check: Option<String>) -> Workload {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    Workload { name, small: matches!(name, "shell" | "c-threads" | "short"), command, check }
}

/// The ten.
pub fn workloads() -> Vec<Workload> {
    let page = |path: &str| Some(format!("busybox wget -qO- http://127.0.0.1:{PORT}{path} | grep -q ."));
    let port = PORT.to_string();
    let node = format!("require('http').createServer((q, a) => a.end('hello')).listen({PORT}, '127.0.0.1')");
    let go = format!("--web.listen-address=127.0.0.1:{PORT}");
    vec![
        workload("nginx", &["/usr/sbin/nginx", "-c", "/work/nginx.conf"], page("/")),
        workload(
            "redis",
            &["/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", &port, "--appendonly", "no", "--dir", "/tmp"],
            Some(format!(
                "printf 'SET a works\\r\\nGET a\\r\\nQUIT\\r\\n' | busybox nc -w 5 127.0.0.1 {PORT} | grep -q works"
            )),
        ),
        workload("postgresql", &["/bin/sh", "/work/postgresql.sh"], None),
        workload("python-web", &["/usr/bin/python3", "/work/server.py"], page("/")),
        workload("node", &["/usr/bin/node", "-e", &node], page("/")),
        workload("perl", &["/usr/bin/perl", "/work/script.pl"], None),
        workload("go", &["/usr/bin/prometheus-node-exporter", &go], page("/metrics")),
        workload("shell", &["/bin/sh", "/work/script.sh"], None),
        workload("c-threads", &["/work/workload", "/tmp"], None),
        workload(
            "drops-root",
            &["/usr/bin/setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "/bin/sh", "/work/script.sh"],
            None,
        ),
    ]
}

/// What the workloads find at `/work`.
pub fn write_work(folder: &Path) -> Result<()> {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text);
    write(
        "nginx.conf",
        &format!(
            "daemon off;\nworker_processes 2;\npid /tmp/nginx.pid;\nerror_log /tmp/error.log;\nevents {{ }}\nhttp {{ \
             access_log /tmp/access.log; server {{ listen 127.0.0.1:{PORT}; location / {{ return 200 hello; }} }} }}\n"
        ),
    )?;
    write(
        "postgresql.sh",
        &format!(
            "set -e\nbin=/usr/lib/postgresql/15/bin\nmkdir -p /tmp/db\nchown postgres /tmp/db\n\
             as() {{ setpriv --reuid=postgres --regid=postgres --clear-groups \"$@\"; }}\n\
             as $bin/initdb -D /tmp/db > /dev/null\n\
             as $bin/pg_ctl -D /tmp/db -w -o '-h 127.0.0.1 -p {PORT} -k /tmp' -l /tmp/log start > /dev/null\n\
             as $bin/psql -h 127.0.0.1 -p {PORT} -c 'create table t (n int); insert into t select generate_series(1, 1000); \
             select sum(n) from t' postgres | grep -q 500500\n\
             as $bin/pg_ctl -D /tmp/db -m fast -w stop > /dev/null\n"
        ),
    )?;
    write(
        "server.py",
        &format!(
            "import http.server, tempfile\nclass Page(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n        \
             with tempfile.TemporaryFile() as file:\n            file.write(b'hello')\n        self.send_response(200)\n        \
             self.end_headers()\n        self.wfile.write(b'hello')\n\
             http.server.ThreadingHTTPServer(('127.0.0.1', {PORT}), Page).serve_forever()\n"
        ),
    )?;
    write(
        "script.pl",
        "open(my $f, '>', '/tmp/x') or die; print $f \"line $_\\n\" for 1..100; close $f;\nmy $n = `wc -l < /tmp/x`; die unless $n == 100;\n\
         my $pid = fork // die; if (!$pid) { exit 3 } waitpid $pid, 0; die unless $? >> 8 == 3; unlink '/tmp/x' or die;\n",
    )?;
    write(
        "script.sh",
        "cd /tmp\nfor i in 1 2 3 4 5; do echo line $i >> file; done\ngrep 1 file | sort -r | wc -l > count\n\
         cat /nothing/is/here 2> /dev/null\n(sleep 0.05; true) &\nls -la / | head -n 3 > list\ncp file copy && rm file copy count list\n\
         wait\nkill -0 $$\nexec true\n",
    )?;
    std::fs::copy(program("workload")?, folder.join("workload"))?;
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(folder, mode)?;
    Ok(())
}
