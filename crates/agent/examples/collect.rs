//! Collects evidence for every event that a condition matches, for the tests of it: `collect FOLDER CONDITION`. Says `collecting` when it
//! is attached, a line for each alert, and what it came to when its standard input ends.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use agent::{Recording, Settings};
use behaviour::Redaction;
use containers::engine::Sockets;
use event::{ProcessId, RunId, SyscallNames};
use forensics::{AlertView, Collector, Incidents};
use report::{Timestamp, json_line};
use rules::{Condition, Subject};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("collect: {error}");
            ExitCode::FAILURE
        }
    }
}

fn describe(subject: &Subject<'_>) -> String {
    json_line(&subject.fact())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, condition] = &arguments[..] else { return Err("usage: collect FOLDER CONDITION".into()) };
    let condition = Condition::parse(condition).map_err(|error| error.to_string())?;
    let folder = Incidents::open(Some(Path::new(folder)))?;
    let mut settings = forensics::Settings::new(folder, env!("CARGO_PKG_VERSION"), describe);
    settings.capture = true;
    settings.environment = Some(Redaction::default());
    let collector = Rc::new(RefCell::new(Collector::new(settings)?));
    let (at_events, mut runs, mut count) = (Rc::clone(&collector), BTreeMap::<String, u32>::new(), 0);
    let watch = move |subject: &Subject<'_>| -> std::io::Result<bool> {
        let next = runs.len() as u32;
        let slot = *runs.entry(subject.container.id.unwrap_or_default().to_owned()).or_insert(next);
        let run = RunId { slot, generation: 0 };
        let mut collector = at_events.borrow_mut();
        collector.note(run, subject);
        if condition.matches(subject) {
            count += 1;
            let evidence = collector.alert(AlertView {
                id: format!("alert-{count}").into(),
                rule: "test".into(),
                priority: "critical".into(),
                output: describe(subject).into(),
                time: Timestamp::from_unix_ns(subject.event.wall_time),
                run,
                process: ProcessId { pid: subject.process.pid, start_ns: subject.process.start },
                executable: subject.process.executable.cloned(),
                alert: serde_json::from_str(&json_line(subject))?,
            });
            eprintln!("alert {count}: {evidence:?}");
        }
        Ok(true)
    };
    let mut recording = Recording::start(Settings {
        targets: vec![agent::Target::All],
        ring_bytes: 8 << 20,
        events: None,
        names: SyscallNames::builtin(),
        trace: None,
        file_bytes: false,
        terminal_bytes: 0,
        redaction: Redaction::default(),
        watch: Some(Box::new(watch)),
        sockets: Sockets::usual(Path::new("/")),
        as_old_kernel: false,
        save: None,
    })?;
    eprintln!("collecting");
    let (send, ended) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        send.send(())
    });
    while ended.try_recv().is_err() {
        recording.step(Duration::from_millis(50))?;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        collector.borrow_mut().tick(Timestamp::from_unix_ns(u64::try_from(since.as_nanos())?));
    }
    recording.finish()?;
    let collector = Rc::into_inner(collector).ok_or("somebody still looks on")?;
    eprintln!("{:?}", collector.into_inner().finish());
    Ok(())
}
