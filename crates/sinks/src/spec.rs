//! The words for a sink: `KIND:TARGET,OPTION=VALUE`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address;
use crate::error::{OpenError, SpecError};
use crate::exec::Exec;
use crate::file::{AlertFile, Rotation};
use crate::form::Form;
use crate::http::{self, Target};
use crate::output::{Output, Paint};
use crate::spool::Spool;
use crate::syslog::{Place, Syslog};
use crate::unix::Socket;
use crate::webhook::{Body, Webhook};
use crate::worker::{Deliver, Sinks};

/// The kinds of sinks, each with its form and what it is.
pub const KINDS: [(&str, &str, &str); 8] = [
    ("stdout", "stdout[:text|json]", "standard output"),
    ("file", "file:PATH[,size=10M][,keep=5][,form=json]", "a file that is begun anew when it is large"),
    ("syslog", "syslog[:unix:PATH|:udp:HOST:PORT|:tcp:HOST:PORT][,form=text]", "syslog (RFC 5424), else /dev/log"),
    ("webhook", "webhook:http://HOST[:PORT]/PATH[,spool=16M]", "a POST of JSON for each alert"),
    ("alertmanager", "alertmanager:http://HOST[:PORT][,spool=16M]", "Alertmanager, version 2 of its API"),
    ("unix", "unix:PATH", "a unix socket, one JSON object a line"),
    ("exec", "exec:/PROGRAM or exec:[\"/PROGRAM\",\"ARG\"]", "a program, the alert as JSON on its standard input"),
    ("none", "none", "nowhere but the state folder"),
];

/// A sink that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Stdout(Option<Form>),
    File { path: PathBuf, rotation: Rotation, form: Form },
    Syslog { place: Transport, form: Form },
    Http { url: Url, is_alertmanager: bool, spool_bytes: u64 },
    Unix(PathBuf),
    Exec { program: PathBuf, arguments: Vec<String>, patience: Duration },
    None,
}

/// How messages reach syslog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A unix socket for datagrams.
    Unix(PathBuf),
    /// UDP, to a host and port.
    Udp(String, u16),
    /// TCP, likewise.
    Tcp(String, u16),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    host: String,
    port: u16,
    authority: String,
    path: String,
}

const DEFAULT_SPOOL: u64 = 16 << 20;

impl Spec {
    /// Reads the words.
    pub fn parse(text: &str) -> Result<Spec, SpecError> {
        let wrong = |reason: String| SpecError { text: event::Text::from(text).shown().into_owned(), reason };
        let (kind, rest) = text.split_once([':', ',']).map_or((text, ""), |(kind, _)| (kind, &text[kind.len()..]));
        let Some((_, usage, _)) = KINDS.iter().find(|(name, ..)| *name == kind) else {
            let kinds: Vec<&str> = KINDS.iter().map(|(name, ..)| *name).collect();
            return Err(wrong(format!("it begins with one of {}", kinds.join(", "))));
        };
        let known: &[&str] = match kind {
            "file" => &["size", "keep", "form"],
            "syslog" => &["form"],
            "webhook" | "alertmanager" => &["spool"],
            "exec" => &["time"],
            _ => &[],
        };
        let (target, options) = split_options(rest, known);
        let target = target.strip_prefix(':').unwrap_or(target);
        let option = |name: &str| options.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let size = |name: &str, otherwise: u64| match option(name) {
            None => Ok(otherwise),
            Some(value) => bytes(value).ok_or_else(|| wrong(format!("`{name}={value}`: write a size such as 10M"))),
        };
        let form = |otherwise: Form| match option("form") {
            None => Ok(otherwise),
            Some("text") => Ok(Form::Text),
            Some("json") => Ok(Form::Json),
            Some(_) => Err(wrong("its form is `text` or `json`".into())),
        };
        let must = |target: &str| {
            if target.is_empty() { Err(wrong(format!("write {usage}"))) } else { Ok(()) }
        };
        let kind = match kind {
            "stdout" => Kind::Stdout(match target {
                "" => None,
                "text" => Some(Form::Text),
                "json" => Some(Form::Json),
                _ => return Err(wrong(format!("write {usage}"))),
            }),
            "none" if target.is_empty() => Kind::None,
            "file" => {
                must(target)?;
                let keep = match option("keep") {
                    None => 5,
                    Some(value) => value
                        .parse()
                        .ok()
                        .filter(|keep| *keep <= 1000)
                        .ok_or_else(|| wrong("`keep` is a number up to 1000".into()))?,
                };
                let most_bytes = size("size", 10 << 20)?;
                Kind::File { path: target.into(), rotation: Rotation { most_bytes, keep }, form: form(Form::Json)? }
            }
            "syslog" => {
                let place = match target.split_once(':') {
                    None if target.is_empty() => Transport::Unix("/dev/log".into()),
                    Some(("unix", path)) if !path.is_empty() => Transport::Unix(path.into()),
                    Some((kind @ ("udp" | "tcp"), place)) => {
                        let (host, port) = host_and_port(place, Some(514))
                            .ok_or_else(|| wrong(format!("`{place}`: write HOST:PORT")))?;
                        if kind == "udp" { Transport::Udp(host, port) } else { Transport::Tcp(host, port) }
                    }
                    _ => return Err(wrong(format!("write {usage}"))),
                };
                Kind::Syslog { place, form: form(Form::Text)? }
            }
            "webhook" | "alertmanager" => {
                must(target)?;
                let is_alertmanager = kind == "alertmanager";
                let mut url = url(target).map_err(wrong)?;
                if is_alertmanager {
                    url.path = format!("{}/api/v2/alerts", url.path.trim_end_matches('/'));
                }
                Kind::Http { url, is_alertmanager, spool_bytes: size("spool", DEFAULT_SPOOL)? }
            }
            "unix" => {
                must(target)?;
                Kind::Unix(target.into())
            }
            "exec" => {
                must(target)?;
                let mut words = if target.starts_with('[') {
                    serde_json::from_str::<Vec<String>>(target)
                        .map_err(|error| wrong(format!("its words are a JSON list of texts: {error}")))?
                } else {
                    vec![target.to_owned()]
                };
                if words.is_empty() || words.iter().any(|word| word.contains('\0')) {
                    return Err(wrong("it names no program".into()));
                }
                let seconds = match option("time") {
                    None => 10,
                    Some(value) => value
                        .strip_suffix('s')
                        .and_then(|seconds| seconds.parse().ok())
                        .filter(|seconds| (1..=300).contains(seconds))
                        .ok_or_else(|| wrong("`time` is 1s to 300s".into()))?,
                };
                let program = PathBuf::from(words.remove(0));
                Kind::Exec { program, arguments: words, patience: Duration::from_secs(seconds) }
            }
            _ => return Err(wrong(format!("write {usage}"))),
        };
        Ok(Spec { text: text.to_owned(), kind })
    }

    /// Whether alerts go to standard output.
    pub fn is_stdout(&self) -> bool {
        matches!(self.kind, Kind::Stdout(_))
    }

    /// Opens it, and adds it to the others. Text for people is made by `paint`, if nothing else was asked for only on a terminal;
    /// `state` is the folder for what must wait.
    pub fn open(&self, sinks: &mut Sinks, paint: Paint, is_terminal: bool, state: &Path) -> Result<(), OpenError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::File { path, source }
        };
        let mut spool = None;
        let deliver: Box<dyn Deliver> = match &self.kind {
            Kind::None => return Ok(()),
            Kind::Stdout(form) => {
                let form = form.unwrap_or(if is_terminal { Form::Text } else { Form::Json });
                Box::new(Output { form, paint })
            }
            Kind::File { path, rotation, form } => {
                Box::new(AlertFile::open(path, *rotation, *form).map_err(file(path))?)
            }
            Kind::Syslog { place, form } => {
                let hosts = address::hosts();
                let place = match place {
                    Transport::Unix(path) => Place::Unix(path.clone()),
                    Transport::Udp(host, port) => Place::Udp(address::find(host, *port, &hosts)?),
                    Transport::Tcp(host, port) => Place::Tcp(address::find(host, *port, &hosts)?),
                };
                let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
                // RFC 5424: visible ASCII, and something.
                let is_fit = !hostname.is_empty() && hostname.bytes().all(|byte| byte.is_ascii_graphic());
                let hostname = if is_fit { hostname } else { "-".into() };
                Box::new(Syslog { place, form: *form, hostname, stream: None })
            }
            Kind::Http { url, is_alertmanager, spool_bytes } => {
                let target = Target {
                    address: address::find(&url.host, url.port, &address::hosts())?,
                    authority: url.authority.clone(),
                    path: url.path.clone(),
                };
                let path = state.join(format!("spool-{}.ndjson", self.file_name()));
                spool = Some(Spool::open(&path, *spool_bytes).map_err(file(&path))?);
                let body = if *is_alertmanager { Body::Alertmanager } else { Body::Alert };
                Box::new(Webhook { target, body, patience: http::PATIENCE })
            }
            Kind::Unix(path) => Box::new(Socket { path: path.clone(), stream: None }),
            Kind::Exec { program, arguments, patience } => {
                Exec::check(program)?;
                Box::new(Exec { program: program.clone(), arguments: arguments.clone(), patience: *patience })
            }
        };
        sinks.add(event::Text::from(self.text.as_str()).shown().into_owned(), deliver, spool)
    }

    /// A name for its spool that another sink does not have.
    fn file_name(&self) -> String {
        let target = match &self.kind {
            Kind::Http { url, .. } => format!("{}{}", url.authority, url.path),
            _ => self.text.clone(),
        };
        let mut name = String::new();
        for byte in target.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => name.push(byte as char),
                other => name.push_str(&format!("_{other:02x}")),
            }
        }
        // No name of a file is longer than 255 bytes.
        name.truncate(200);
        name
    }
}

/// Takes known options from the end.
fn split_options<'t>(text: &'t str, known: &[&str]) -> (&'t str, Vec<(&'t str, &'t str)>) {
    let mut options = Vec::new();
    let mut rest = text;
    while let Some((before, last)) = rest.rsplit_once(',') {
        match last.split_once('=') {
            Some((name, value)) if known.contains(&name) => options.push((name, value)),
            _ => break,
        }
        rest = before;
    }
    (rest, options)
}

fn bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(1 << shift).filter(|bytes| (1024..=(64 << 30)).contains(bytes))
}

fn host_and_port(text: &str, otherwise: Option<u16>) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    // An IPv6 address has brackets, so that its end can be seen.
    let is_fit = !host.is_empty() && (host.starts_with('[') || !host.contains(':'));
    let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"[]:.-_%".contains(&byte));
    (is_fit && is_plain).then_some((host.to_owned(), port.or(otherwise)?))
}

fn url(text: &str) -> Result<Url, String> {
    if text.starts_with("https://") {
        return Err("this program speaks no TLS: send to a proxy on this machine that does".into());
    }
    let rest = text.strip_prefix("http://").ok_or("its address begins with http://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    if authority.contains('@') {
        return Err("no name and password in an address: every user of this machine could read it".into());
    }
    let (host, port) = host_and_port(authority, Some(80)).ok_or("write http://HOST:PORT/PATH")?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its path has characters that must be escaped, as %20".into());
    }
    let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
    Ok(Url { host, port, authority: authority.to_owned(), path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        Spec::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn every_kind_has_one_form() {
        for text in [
            "stdout",
            "stdout:json",
            "file:/var/log/a.ndjson",
            "file:/a,b,size=1M,keep=2,form=text",
            "syslog",
            "syslog:unix:/run/log",
            "syslog:udp:10.0.0.1:514",
            "syslog:tcp:[::1]:601,form=json",
            "webhook:http://127.0.0.1:8080/hook?a=b,c",
            "alertmanager:http://am.example",
            "unix:/run/x.sock",
            "exec:/usr/bin/logger",
            r#"exec:["/bin/sh","-c","cat >> \"/tmp/x\"; true"],time=3s"#,
            "none",
        ] {
            assert!(Spec::parse(text).is_ok(), "{text}: {:?}", Spec::parse(text).err());
        }
        let file = Spec::parse("file:/a,b,size=1M,keep=2").expect("a file");
        assert_eq!(
            file.kind,
            Kind::File { path: "/a,b".into(), rotation: Rotation { most_bytes: 1 << 20, keep: 2 }, form: Form::Json }
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_right() {
        assert!(reason("mail:x").contains("stdout, file, syslog"), "{}", reason("mail:x"));
        assert!(reason("webhook:https://x/").contains("no TLS"));
        assert!(reason("webhook:ftp://x").contains("http://"));
        assert!(reason("webhook:http://u:p@x/").contains("password"));
        assert!(reason("file:").contains("file:PATH"));
        assert!(reason("file:/a,size=ten").contains("10M"));
        assert!(reason("syslog:udp:::1:5").contains("HOST:PORT"));
        assert!(reason("exec:[1]").contains("list of texts") && reason("exec:[]").contains("no program"));
        assert!(reason("none:x").contains("write none"));
    }

    #[test]
    fn two_webhooks_have_two_spools() {
        let name = |text: &str| Spec::parse(text).expect("a sink").file_name();
        assert_ne!(name("webhook:http://a/b"), name("webhook:http://a/c"));
        assert!(!name("webhook:http://a/../../etc/x").contains('/'));
    }
}
