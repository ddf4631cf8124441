//! `ringfence watch --calls`: single calls against strace, and what a program is when it begins, in real containers.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{Background, command, finish};
use e2e::engines::{Docker, Engine};
use e2e::machine::{alone, unique_name};
use e2e::need;
use e2e::programs::program;
use e2e::rootfs;
use e2e::runtime::Runtime;
use e2e::sealed::{LIMIT, root_with};
use e2e::text::text_form;
use e2e::watching::Watching;
use e2e::workloads::BUSYBOX_IMAGE;
use rustix::process::Signal;
use serde_json::Value;

/// What the program calls, and is compared.
const CALLS: &str = "open,openat,openat2,creat,connect,bind,listen,dup,dup2,dup3,ptrace,symlink,symlinkat,link,linkat,rename,renameat,\
                     renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,chmod,fchmodat,chdir";

/// A folder on the root file system, gone with the value.
fn folder() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("ringfence-actions").tempdir_in("/var/tmp")?)
}

/// Runs a command that is watched, with all that comes of it, and gives the events.
fn watched(command_line: &[&str], calls: &str) -> Result<(Vec<Value>, String)> {
    let mut stopped = command("/bin/sh", ["-c", "kill -STOP $$; exec \"$@\"", "sh"]);
    stopped.args(command_line).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut process = Background::spawn(&mut stopped)?;
    let pid = process.child().id().to_string();
    let watching =
        Watching::start(&["--pid", &pid, "--calls", calls, "--kind", "action,image,exec", "--buffer", "16M"])?;
    process.signal(Signal::CONT)?;
    let pipe = process.child().stdout.take().context("no pipe")?;
    let said = std::io::read_to_string(pipe)?;
    let status = process.wait(Duration::from_secs(60))?;
    ensure!(status.success(), "{command_line:?} ended with {status}: {said}");
    std::thread::sleep(Duration::from_millis(500));
    let watched = watching.stop()?;
    ensure!(watched.status.success(), "{}: {}", watched.status, watched.stderr);
    Ok((watched.events()?, said))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// One call, as both sides can say it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    number: u64,
    /// Names, or the address and port.
    passed: Vec<String>,
    open_flags: Option<u64>,
    /// The errno, or the path of what was opened.
    came_to: String,
    /// Of dup, which descriptor.
    descriptor: Option<i64>,
    /// Of ptrace, the request.
    request: Option<u64>,
}

/// The numbers of calls of this machine's table, by strace: `[ 257] openat(`.
fn of_line(line: &str, numbers: &mut Vec<(u64, String)>) -> Option<Seen> {
    let (number, rest) = line.split_once('[')?.1.split_once("] ")?;
    let number: u64 = number.trim().parse().ok()?;
    let (name, rest) = rest.split_once('(')?;
    numbers.push((number, name.to_owned()));
    let (args, result) = rest.rsplit_once(") = ").map(|(args, result)| (args, result.trim()))?;
    let errno = result.strip_prefix("-1 ").and_then(|errno| errno.split(' ').next());
    let mut passed: Vec<String> = Vec::new();
    // Behind what strace says of descriptors (`3</path>`) names are in quotes.
    let mut rest = args;
    while let Some((before, after)) = rest.split_once('"') {
        let (name, behind) = after.split_once('"')?;
        let mark = if before.ends_with('@') { "@" } else { "" };
        passed.push(format!("{mark}{}", name.trim_end_matches("\\0")));
        rest = behind;
    }
    if let Some((_, port)) = args.split_once("htons(") {
        passed.push(port.split(')').next()?.to_owned());
    }
    let number_at = |at: usize| {
        let arg = args.split(", ").nth(at)?;
        let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        if arg.starts_with("0x") { hex(arg) } else { arg.parse().ok() }
    };
    let open_flags = match name {
        "open" => number_at(1),
        "openat" => number_at(2),
        "creat" => Some(0o1101),
        "openat2" => {
            let flags = args.split_once("flags=")?.1.split([',', '}']).next()?;
            u64::from_str_radix(flags.trim_start_matches("0x"), 16).ok()
        }
        _ => None,
    };
    let (descriptor, path) = match result.split_once('<') {
        Some((descriptor, path)) => (descriptor.parse().ok(), path.trim_end_matches('>')),
        None => (None, ""),
    };
    let is_path = path.starts_with('/');
    Some(Seen {
        number,
        passed,
        open_flags,
        came_to: errno.unwrap_or(if is_path { path } else { "" }).to_owned(),
        descriptor: descriptor.filter(|_| name.starts_with("dup")),
        request: if name == "ptrace" { number_at(0) } else { None },
    })
}

fn of_event(event: &Value, numbers: &[(u64, String)], errnos: &[(i64, &str)]) -> Result<Seen> {
    let action = &event["action"];
    let number = action["number"].as_u64().context("a number")?;
    let name = numbers.iter().find(|(known, _)| *known == number).map_or("", |(_, name)| name.as_str());
    let result: i64 = action["result"].as_i64().or_else(|| text(&action["result"]).parse().ok()).context("a result")?;
    let errno = errnos.iter().find(|(known, _)| -known == result).map(|(_, name)| *name);
    ensure!(errno.is_some() || result >= 0, "errno {result} is not among those of the test");
    let mut passed: Vec<String> = [&action["path"], &action["second_path"]]
        .into_iter()
        .map(|name| text(name).to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if let Some(address) = action["address"].as_object() {
        passed.push(text(&address["address"]).to_owned());
        passed.extend(address["port"].as_u64().filter(|port| *port > 0).map(|port| port.to_string()));
        if name == "bind" {
            // The kernel chooses the port.
            passed.truncate(1);
            passed.push("0".into());
        }
    }
    let opens = ["open", "openat", "openat2", "creat"].contains(&name);
    let returns = opens || name.starts_with("dup");
    let path = text(&action["file"]["path"]);
    Ok(Seen {
        number,
        passed,
        open_flags: action["open_flags"].as_u64(),
        came_to: errno.unwrap_or(if returns { path } else { "" }).to_owned(),
        descriptor: (name.starts_with("dup") && errno.is_none()).then_some(result),
        request: (name == "ptrace")
            .then(|| u64::from_str_radix(text(&action["args"][0]).trim_start_matches("0x"), 16))
            .transpose()?,
    })
}

const ERRNOS: [(i64, &str); 9] = [
    (1, "EPERM"),
    (2, "ENOENT"),
    (3, "ESRCH"),
    (9, "EBADF"),
    (14, "EFAULT"),
    (17, "EEXIST"),
    (20, "ENOTDIR"),
    (111, "ECONNREFUSED"),
    (115, "EINPROGRESS"),
];

#[test]
#[ignore = "needs root"]
fn each_call_that_differs_is_told_once_as_strace_shows_it() -> Result<()> {
    need!("strace", "gcc");
    let _alone = alone()?;
    let folder = folder()?;
    let log = folder.path().join("log");
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner)?;
    let program = program("actions")?;
    let trace = format!("trace={}", CALLS.replace([' ', '\n'], ""));
    let command_line = ["strace", "-n", "-y", "-X", "raw", "-s", "4096", "-e", &trace, "-e", "signal=none", "-o"];
    let paths = [log.to_str(), program.to_str(), inner.to_str()].map(|path| path.context("UTF-8"));
    let [log_path, program_path, inner_path] = paths;
    let command_line = [&command_line[..], &[log_path?, program_path?, inner_path?]].concat();

    let (events, _) = watched(&command_line, CALLS)?;

    let mut numbers = Vec::new();
    let lines = std::fs::read_to_string(&log)?;
    let wanted: BTreeSet<Seen> = lines.lines().filter_map(|line| of_line(line, &mut numbers)).collect();
    ensure!(wanted.len() > 30, "strace showed too little: {lines}");
    let mine = |event: &&Value| {
        event["event"]["kind"] == "action" && event["process"]["executable"].as_str() == program.to_str()
    };
    let found: Vec<Seen> =
        events.iter().filter(mine).map(|event| of_event(event, &numbers, &ERRNOS)).collect::<Result<_>>()?;
    let once: BTreeSet<Seen> = found.iter().cloned().collect();
    let missing: Vec<_> = wanted.difference(&once).collect();
    let more: Vec<_> = once.difference(&wanted).collect();
    ensure!(missing.is_empty() && more.is_empty(), "missing: {missing:#?}\nmore: {more:#?}\n{lines}");
    // What differs only in what is left out here: from which directory, as a number of a call's own, and on which socket.
    let twice = found.len() - once.len();
    ensure!(twice <= 4, "{twice} calls were told more than once: {found:#?}");
    for event in events.iter().filter(mine).map(|event| &event["action"]) {
        if let Some(socket) = event["file"]["socket"].as_object().filter(|_| event["address"]["address"] == "127.0.0.1")
        {
            let is_refused = event["result"] == -111 || event["result"] == "-111";
            ensure!(is_refused || socket["remote"].is_null() || socket["remote"]["address"] == "127.0.0.1", "{event}");
        }
        if text(&event["path"]) == "there" && event["file"].is_object() {
            assert_eq!(text(&event["directory"]), text_form(inner.join("same").as_os_str().as_encoded_bytes()));
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
#[cfg(target_arch = "x86_64")]
fn calls_of_32_bit_programs_are_told_by_their_table() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let folder = folder()?;
    let program = program("actions")?;
    let path = folder.path().to_str().context("UTF-8")?;

    let (events, said) = watched(&[program.to_str().context("UTF-8")?, "32", path], "open,connect")?;

    let found: Vec<(u64, String, i64)> = events
        .iter()
        .map(|event| &event["action"])
        .filter(|action| action["arch"] == "x86")
        .map(|action| {
            let port = action["address"]["port"].as_u64().map(|port| port.to_string());
            let passed = port.unwrap_or_else(|| text(&action["path"]).to_owned());
            let result = action["result"].as_i64().or_else(|| text(&action["result"]).parse().ok()).unwrap_or(0);
            (action["number"].as_u64().unwrap_or(0), passed, result.min(0))
        })
        .collect();
    let port = said.trim();
    let wanted = [
        (5, format!("{path}/there"), 0),
        (5, format!("{path}/missing"), -2),
        // Through socketcall, and as it is.
        (362, port.to_owned(), -111),
        (362, port.to_owned(), -111),
    ];
    assert_eq!(found, wanted);
    Ok(())
}

/// For each program that was started and each file that was opened, whether it is in the upper layer.
fn layers(events: &[Value]) -> BTreeSet<(String, bool)> {
    let mut layers = BTreeSet::new();
    let mut image = None;
    for event in events.iter().filter(|event| event["event"]["phase"] == "main") {
        match text(&event["event"]["kind"]) {
            "image" => image = event["image"]["upper_layer"].as_bool(),
            "exec" => {
                let argv = event["exec"]["argv"].as_array().map_or("", |argv| text(&argv[0])).to_owned();
                layers.insert((argv, image.take().unwrap_or(false)));
            }
            "action" => {
                let file = &event["action"]["file"];
                layers.insert((text(&file["path"]).to_owned(), file["upper_layer"] == true));
            }
            _ => {}
        }
    }
    layers
}

const LAYERS: &str = "cat /etc/passwd >/dev/null; cp /bin/busybox /var/busybox; exec /var/busybox sh -c '/bin/true; echo x >>/etc/group; cat /etc/group'";

fn must_tell_layers(events: &[Value]) -> Result<()> {
    let found = layers(events);
    for (name, is_upper) in
        [("/etc/passwd", false), ("cat", false), ("/var/busybox", true), ("/bin/true", false), ("/etc/group", true)]
    {
        ensure!(found.contains(&(name.to_owned(), is_upper)), "{name} is not {is_upper}: {found:#?}");
        // What the image had was opened before it was changed, too, if at all.
        ensure!(name == "/etc/group" || !found.contains(&(name.to_owned(), !is_upper)), "{name}: {found:#?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_a_container_wrote_is_told_from_what_its_image_has() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let id = unique_name("rf-e2e-layers");
    let watching = Watching::start(&[&id, "--calls", "open,openat", "--kind", "action,image,exec,container_ended"])?;

    let overlay = root_with(&[])?;
    Runtime::new("runc")?.run(&Bundle::new(&overlay.root(), &["/bin/sh", "-c", LAYERS])?, &id, LIMIT)?;
    watching.wait_for("\"container_ended\":{}")?;

    must_tell_layers(&watching.stop()?.events()?)
}

#[test]
#[ignore = "needs root"]
fn what_a_container_of_docker_wrote_is_told_from_what_its_image_has() -> Result<()> {
    need!("dockerd", "docker", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let driver = docker.docker(&["info", "--format", "{{.Driver}}"])?;
    ensure!(driver.contains("overlay"), "docker keeps its images on {driver}");
    let name = unique_name("rf-e2e-docker-layers");
    let watching = Watching::start_beside(
        &docker.socket(),
        "docker.sock",
        &[&name, "--calls", "open,openat", "--kind", "action,image,exec,container_ended"],
    )?;

    docker.docker(&["run", "--rm", "--name", &name, BUSYBOX_IMAGE, "/bin/sh", "-c", LAYERS])?;
    watching.wait_for("\"container_ended\":{}")?;

    must_tell_layers(&watching.stop()?.events()?)
}

#[test]
#[ignore = "needs root"]
fn without_calls_there_are_no_actions_and_asking_for_them_is_refused() -> Result<()> {
    let _alone = alone()?;
    let refused = finish(&mut command(e2e::recorder::binary()?, ["watch", "--kind", "action"]), LIMIT)?;
    ensure!(!refused.status.success() && refused.stderr().contains("--calls"), "{}", refused.stderr());
    let unknown = finish(&mut command(e2e::recorder::binary()?, ["watch", "--calls", "conect"]), LIMIT)?;
    ensure!(!unknown.status.success() && unknown.stderr().contains("conect"), "{}", unknown.stderr());
    Ok(())
}
