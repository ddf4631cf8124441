//! Real servers in a container of bare runc, under load over the loopback of a network of their own.
//!
//! One server lives through all rounds: only what is attached changes. It has the first CPU, its load the last.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::bundle::Bundle;
use e2e::command::{command, must, must_within, poll};
use e2e::machine::{first_missing, unique_name};
use e2e::overlay::Overlay;
use e2e::recorder::Recorder;
use e2e::rootfs::debian;
use e2e::runtime::Runtime;

use super::Settings;
use super::detecting::{NO_RULES, detect, public_rules};
use crate::host::cpus;
use crate::measure::empty::{EmptyPrograms, Hooks};
use crate::measure::hooks;
use crate::measure::network::Network;
use crate::measure::spread::Spread;
use crate::outcome::{Findings, Table, short};

/// How long one round of load takes, about.
const ROUND_SECONDS: f64 = 1.0;
const LIMIT: Duration = Duration::from_secs(60);

/// A server and what loads it.
struct Server {
    name: &'static str,
    /// At least this share of the untraced throughput.
    share: f64,
    /// Its command line in the container.
    args: &'static [&'static str],
    /// A file that it needs, and what is in it.
    file: Option<(&'static str, &'static str)>,
    /// The program that loads it, and the Debian package that has it.
    client: (&'static str, &'static str),
    /// The command line of a load of about so many requests, or so many seconds.
    load: fn(requests: u64) -> Vec<String>,
    /// Requests per second, from what the program says.
    rate: fn(&str) -> Option<f64>,
    /// How many requests were answered, if the program says that; else as many as it was asked for.
    answered: fn(&str) -> Option<u64>,
}

const SERVERS: [Server; 2] = [
    Server {
        name: "redis-benchmark",
        share: 0.95,
        args: &["/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", "6379", "--save", "", "--dir", "/tmp"],
        file: None,
        client: ("redis-benchmark", "redis-tools"),
        load: |requests| {
            let line = format!("redis-benchmark -h 127.0.0.1 -p 6379 -t get -c 16 -n {requests} --csv");
            line.split(' ').map(str::to_owned).collect()
        },
        rate: redis_rate,
        answered: |_| None,
    },
    Server {
        name: "nginx + wrk",
        share: 0.97,
        args: &["/usr/sbin/nginx", "-c", "/tmp/bench.conf"],
        file: Some((
            "tmp/bench.conf",
            "daemon off;\nworker_processes 1;\npid /run/bench.pid;\nerror_log /dev/null;\n\
             events { worker_connections 64; }\nhttp { access_log off;\n\
             server { listen 127.0.0.1:8080; location / { return 200 'hello'; } } }\n",
        )),
        client: ("wrk", "wrk"),
        load: |_| "wrk -t1 -c16 -d1s http://127.0.0.1:8080/".split(' ').map(str::to_owned).collect(),
        rate: wrk_rate,
        answered: wrk_answered,
    },
];

/// What is attached, and of what the last is: a way to measure with ringfence.
type Traced<'a> = &'a dyn Fn(&Load<'_>, &str) -> Result<Option<f64>>;

/// What a server's throughput is compared with, and what it must reach.
struct Variants {
    traced: &'static str,
    of_nothing: f64,
    of_empty: f64,
}

impl Variants {
    fn labels(&self) -> [&'static str; 3] {
        ["nothing attached", "empty programs on sys_enter and sys_exit", self.traced]
    }
}

/// Item `servers`.
pub(crate) fn servers(settings: Settings) -> Result<Findings> {
    let mut findings = Findings::default();
    for server in &SERVERS {
        let (client, package) = server.client;
        if let Some(missing) = first_missing(&["runc", "ip", "taskset", "mmdebstrap", client]) {
            findings.not_measured(server.name, &format!("no program {missing} (the load is of package {package})"));
            continue;
        }
        let times = measure(server, settings.choose(20, 3), &recorded).with_context(|| server.name)?;
        let variants = Variants { traced: "recorded", of_nothing: server.share, of_empty: 0.97 };
        judge(&mut findings, server, &variants, &times)?;
    }
    Ok(findings)
}

/// Item `redis-rules`: redis in a container that is looked at by all public rules.
pub(crate) fn redis_rules(settings: Settings) -> Result<Findings> {
    let mut findings = Findings::default();
    let server = &SERVERS[0];
    let missing = first_missing(&["runc", "ip", "taskset", "mmdebstrap", server.client.0]);
    if public_rules().is_none() {
        findings.not_measured(server.name, NO_RULES);
    } else if let Some(missing) = missing {
        findings.not_measured(server.name, &format!("no program {missing}"));
    } else {
        let times = measure(server, settings.choose(12, 3), &detected).context(server.name)?;
        let variants = Variants { traced: "looked at by all public rules", of_nothing: 0.93, of_empty: 0.95 };
        judge(&mut findings, server, &variants, &times)?;
    }
    Ok(findings)
}

/// Microseconds per request in each round, by variant.
fn measure(server: &Server, wanted: usize, traced: Traced<'_>) -> Result<[Vec<f64>; 3]> {
    let overlay = Overlay::above(&debian()?.folder)?;
    let network = Network::new()?;
    let mut bundle = Bundle::new(&overlay.root(), server.args)?.change(|config| {
        // What the server reads is in the root file system.
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.retain(|mount| mount["destination"] != "/tmp");
        }
    });
    bundle = bundle.join_namespace("network", &network.path().display().to_string());
    if let Some((path, text)) = server.file {
        std::fs::write(overlay.root().join(path), text)?;
    }
    let runtime = Runtime::new("runc")?;
    let name = unique_name("bench-server");
    let container = runtime.create(&bundle, &name)?;
    must(&mut command("taskset", ["--all-tasks", "--cpu-list", "--pid", "0", &container.pid().to_string()]))?;
    container.start()?;
    let mut load = Load { server, network, requests: 1_000 };
    // A load that comes before the server listens may wait for ever.
    if !poll(Duration::from_secs(20), || Ok(listens(&read(container.pid()))))? {
        bail!("the server does not listen; it says: {}{}", container.stdout(), container.stderr());
    }
    load.requests = (load.run()? * ROUND_SECONDS).max(1_000.0) as u64;

    let mut times: [Vec<f64>; 3] = Default::default();
    for turn in 0.. {
        if times.iter().all(|times| times.len() >= wanted) {
            break;
        }
        ensure!(
            turn < wanted * 6,
            "other programs come and go on sys_enter and sys_exit all the time: try again later"
        );
        for step in 0..times.len() {
            hooks::wait_until_free()?;
            let which = (turn + step) % times.len();
            let rate = match which {
                0 => hooks::undisturbed(hooks::NONE, || load.run())?,
                1 => {
                    let attached = EmptyPrograms::attach(Hooks::Both)?;
                    let rate = hooks::undisturbed(hooks::BOTH, || load.run())?;
                    attached.detach()?;
                    rate
                }
                _ => traced(&load, &name)?,
            };
            times[which].extend(rate.map(|rate| 1e6 / rate));
        }
    }
    container.signal(rustix::process::Signal::KILL)?;
    Ok(times)
}

fn read(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default()
}

/// Whether any socket of this network listens; `0A` is TCP_LISTEN.
fn listens(tcp: &str) -> bool {
    tcp.lines().skip(1).any(|line| line.split_whitespace().nth(3) == Some("0A"))
}

fn recorded(load: &Load<'_>, container: &str) -> Result<Option<f64>> {
    let recorder = Recorder::start(&["--all"])?;
    sleep(Duration::from_millis(100));
    let mut answered = 0;
    let rate = hooks::undisturbed(hooks::BOTH, || {
        let round = load.round()?;
        answered = round.answered;
        Ok(round.rate)
    })?;
    let recording = recorder.stop()?;
    let calls: u64 = recording.of(container)?.syscalls()?.iter().map(|entry| entry.count).sum();
    ensure!(calls >= answered, "{answered} requests were answered with {calls} recorded calls");
    Ok(rate)
}

fn detected(load: &Load<'_>, _: &str) -> Result<Option<f64>> {
    let state = tempfile::tempdir()?;
    let watching = detect(state.path(), &["--all"], &[])?;
    sleep(Duration::from_millis(100));
    let rate = hooks::undisturbed(hooks::BOTH, || load.run())?;
    let watched = watching.stop()?;
    ensure!(watched.status.code() != Some(2), "ringfence detect ended with {}: {}", watched.status, watched.stderr);
    ensure!(!watched.stderr.contains("were lost"), "events were lost: {}", watched.stderr);
    Ok(rate)
}

/// What loads a server.
struct Load<'a> {
    server: &'a Server,
    network: Network,
    requests: u64,
}

impl Load<'_> {
    /// One round; requests per second.
    fn run(&self) -> Result<f64> {
        Ok(self.round()?.rate)
    }

    fn round(&self) -> Result<Round> {
        let mut run = self.network.run_on(cpus() - 1, &(self.server.load)(self.requests));
        let said = must_within(&mut run, LIMIT)?;
        match (self.server.rate)(&said) {
            Some(rate) if rate > 0.0 => {
                Ok(Round { rate, answered: (self.server.answered)(&said).unwrap_or(self.requests) })
            }
            _ => bail!("{} says no rate: {said}", self.server.name),
        }
    }
}

/// What one round came to.
struct Round {
    /// Requests per second.
    rate: f64,
    answered: u64,
}

/// The line of GET: `"GET","12345.67",…`.
fn redis_rate(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix("\"GET\",\""))?;
    line.split_once('"')?.0.parse().ok()
}

/// `Requests/sec:  12345.67`; none if requests failed.
fn wrk_rate(said: &str) -> Option<f64> {
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return None;
    }
    said.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?.trim().parse().ok()
}

/// `  100 requests in 1.00s, 1MB read`.
fn wrk_answered(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
}

fn judge(findings: &mut Findings, server: &Server, variants: &Variants, times: &[Vec<f64>; 3]) -> Result<()> {
    let mut table = Table::new(
        format!("{}: microseconds per request; throughput is that of the 25th percentile.", server.name),
        ["rounds", "min", "25 %", "median", "max", "requests/s", "x nothing"],
    );
    let spreads: Vec<Spread> = times.iter().map(|times| Spread::of(times)).collect::<Result<_>>()?;
    let nothing = spreads[0].p25;
    for (label, Spread { count, min, p25, median, max }) in variants.labels().iter().zip(&spreads) {
        table.row(*label, [*count as f64, *min, *p25, *median, *max, 1e6 / p25, nothing / p25]);
    }
    findings.tables.push(table);
    let (of_nothing, of_empty) = (nothing / spreads[2].p25, spreads[1].p25 / spreads[2].p25);
    findings.check(
        format!("{}: throughput when {}", server.name, variants.traced),
        format!("{}x untraced, {}x empty", short(of_nothing), short(of_empty)),
        format!(">= {}x untraced or {}x empty", variants.of_nothing, variants.of_empty),
        of_nothing >= variants.of_nothing || of_empty >= variants.of_empty,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_from_what_the_clients_say() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"GET\",\"81234.50\",\"0.1\"\n";
        let wrk = "Running 1s test\n  100 requests in 1.00s\nRequests/sec:  12345.67\nTransfer/sec: 1MB\n";

        assert_eq!(redis_rate(csv), Some(81234.5));
        assert_eq!(wrk_rate(wrk), Some(12345.67));
        assert_eq!(wrk_answered(wrk), Some(100));
    }

    #[test]
    fn a_socket_that_listens_is_told_from_one_that_talks() {
        let head = "  sl  local_address rem_address   st\n";
        let line = |state: &str| format!("{head}   0: 0100007F:18EB 00000000:0000 {state} 00000000:00000000\n");

        assert!(listens(&line("0A")) && !listens(&line("01")) && !listens(head));
    }

    #[test]
    fn answers_that_are_errors_are_no_rate() {
        assert_eq!(wrk_rate("  Non-2xx or 3xx responses: 7\nRequests/sec: 1.0\n"), None);
        assert_eq!(redis_rate("\"test\",\"rps\"\n"), None);
    }

    #[test]
    fn either_share_is_enough() {
        for (times, expected) in
            [([100.0, 101.0, 104.0], true), ([100.0, 120.0, 123.0], true), ([100.0, 101.0, 110.0], false)]
        {
            let mut findings = Findings::default();
            let variants = Variants { traced: "recorded", of_nothing: 0.95, of_empty: 0.97 };
            judge(&mut findings, &SERVERS[0], &variants, &times.map(|time| vec![time])).expect("one round each");

            assert_eq!(findings.checks[0].met, expected, "{times:?}");
        }
    }
}
