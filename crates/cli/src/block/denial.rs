//! What was denied, as a line.

use ::enforce::{Deed, Denial, Details};
use event::Text;
use report::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::line::{ContainerLine, ParentLine, PolicyLine, ProcessLine, Shown, container};
use super::names::Names;
use super::tainted::TaintLine;

/// A denial, as a line of JSON.
#[derive(Serialize, JsonSchema)]
pub(super) struct DenialLine<'a> {
    schema_version: report::FormatVersion<1>,
    time: Timestamp,
    /// `refused`: the call failed with EPERM. `killed`: before the first instruction of the program. `audited`: it was only
    /// counted. `failed`: it ran, as the kernel sent no signal.
    action: &'static str,
    /// What it was: `exec`, `file`, `connect`, `listen`, `capability`, `mount`, `ptrace` or `module`.
    deed: &'static str,
    /// Of programs `path`, `file`, `hash`, `not_hashed` (its content could not be told), `name`, `called`, `applet`, `loader`, `mapped`, `not_of_image` or `not_listed`; of files `path`,
    /// `file`, or `not_listed` where only what is listed may be written; of connections `address`; of listeners `port`, or `unbound` if the kernel was to choose the port; of others `kind`,
    /// as all of the kind are denied.
    reason: &'static str,
    policy: PolicyLine<'a>,
    container: Option<ContainerLine<'a>>,
    process: ProcessLine<'a>,
    /// Of `exec`: what was to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<ProgramLine<'a>>,
    /// Of `file`: which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileLine<'a>>,
    /// Of `connect`: the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<PeerLine>,
    /// Of `listen`; 0 if the kernel was to choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Of `capability`: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    capability: Option<String>,
    /// Of `mount`: where.
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<MountLine<'a>>,
    /// Of `ptrace`: the process that was to be traced; of one that asked to be traced, who was to trace it.
    #[serde(skip_serializing_if = "Option::is_none")]
    traced: Option<TracedLine>,
    /// Of `module`: what was to be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<ModuleLine<'a>>,
    /// Of a policy that waited for something: by what it became strict in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    tainted: Option<TaintLine<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct FileLine<'a> {
    /// As the container sees it.
    path: &'a Text,
    /// Whether the beginning of the path is missing.
    is_path_cut: bool,
    /// What was to be done: `read`, `write`, `read and write`, `make`, `remove`, `move`, `link`, `cut` or `change` (mode or owner).
    act: &'static str,
    /// Both 0 where there is no file yet.
    device: u32,
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    inode: u64,
}

#[derive(Serialize, JsonSchema)]
struct PeerLine {
    /// An IPv4 address that is mapped into IPv6 stands as IPv4.
    address: String,
    port: u16,
}

#[derive(Serialize, JsonSchema)]
struct MountLine<'a> {
    /// The place, as the container sees it.
    path: &'a Text,
    /// Whether the beginning of the path is missing.
    is_path_cut: bool,
    /// The type of the file system, so far as the caller named one.
    kind: &'a Text,
}

#[derive(Serialize, JsonSchema)]
struct TracedLine {
    pid: u32,
}

#[derive(Serialize, JsonSchema)]
struct ModuleLine<'a> {
    /// The file, as the container sees it; empty if it was to be loaded from memory, or by the kernel itself.
    path: &'a Text,
    /// The name that the kernel itself wanted to load.
    name: &'a Text,
}

#[derive(Serialize, JsonSchema)]
struct ProgramLine<'a> {
    /// As the container sees it.
    path: &'a Text,
    /// Whether the beginning of the path is missing.
    is_path_cut: bool,
    /// What the caller named it by.
    called: &'a Text,
    device: u32,
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    inode: u64,
}

impl Shown {
    pub(super) fn denial_json<'a>(&self, denial: &'a Denial, names: &'a Names) -> DenialLine<'a> {
        DenialLine {
            schema_version: report::FormatVersion,
            time: self.timestamp(denial.boot_ns),
            action: denial.action.name(),
            deed: denial.deed.name(),
            reason: denial.reason.name(),
            policy: PolicyLine { number: denial.policy, name: names.policy(denial.policy) },
            container: names.container(denial).map(|(id, name)| ContainerLine { id, name }),
            process: ProcessLine {
                pid: denial.pid,
                pid_inside: denial.pid_inside,
                tid: denial.tid,
                uid: denial.uid,
                comm: &denial.comm,
                parent: ParentLine { pid: denial.ppid, comm: &denial.parent_comm },
            },
            program: (denial.deed == Deed::Exec).then_some(ProgramLine {
                path: &denial.path,
                is_path_cut: denial.is_path_cut,
                called: &denial.called,
                device: denial.file.device,
                inode: denial.file.inode,
            }),
            file: match denial.details {
                Details::File(act) => Some(FileLine {
                    path: &denial.path,
                    is_path_cut: denial.is_path_cut,
                    act: act.name(),
                    device: denial.file.device,
                    inode: denial.file.inode,
                }),
                _ => None,
            },
            peer: match denial.details {
                Details::Peer(peer) => Some(PeerLine { address: peer.ip().to_string(), port: peer.port() }),
                _ => None,
            },
            port: match denial.details {
                Details::Port(port) => Some(port),
                _ => None,
            },
            capability: match denial.details {
                Details::Capability(number) => Some(capability(number)),
                _ => None,
            },
            mount: (denial.deed == Deed::Mount).then_some(MountLine {
                path: &denial.path,
                is_path_cut: denial.is_path_cut,
                kind: &denial.called,
            }),
            traced: match denial.details {
                Details::Process(pid) => Some(TracedLine { pid }),
                _ => None,
            },
            module: (denial.deed == Deed::Module).then_some(ModuleLine { path: &denial.path, name: &denial.called }),
            tainted: names.taint(denial.policy, denial.cgroup_id).map(|taint| TaintLine::of(taint, self)),
        }
    }

    pub(super) fn denial_text(&self, denial: &Denial, names: &Names) -> String {
        let since = names.taint(denial.policy, denial.cgroup_id);
        let since = since.map(|taint| format!(", after {}", self.taint_text(taint))).unwrap_or_default();
        format!(
            "{} {:<8} {}  {}  by pid {} ({} inside) of {} (pid {}), uid {}  policy {}: {}{since}",
            self.clock(denial.boot_ns),
            denial.action.name(),
            container(names.container(denial), denial.cgroup_id),
            what(denial),
            denial.pid,
            denial.pid_inside,
            report::quoted(&denial.parent_comm),
            denial.ppid,
            denial.uid,
            denial.policy,
            denial.reason.name(),
        )
    }
}

/// The deed, in a few words.
fn what(denial: &Denial) -> String {
    let path = report::quoted(&denial.path);
    let called = report::quoted(&denial.called);
    let comm = report::quoted(&denial.comm);
    match denial.details {
        Details::File(act) => return format!("{} {path} ({comm})", act.name()),
        Details::Peer(peer) => return format!("connect {peer} ({comm})"),
        Details::Port(0) => return format!("listen on any port ({comm})"),
        Details::Port(port) => return format!("listen {port} ({comm})"),
        Details::Capability(number) => return format!("{} ({comm})", capability(number)),
        Details::Process(pid) => return format!("ptrace pid {pid} ({comm})"),
        Details::Nothing => {}
    }
    match denial.deed {
        Deed::Mount if denial.called.is_empty() => format!("mount {path} ({comm})"),
        Deed::Mount => format!("mount {called} at {path} ({comm})"),
        Deed::Module if !denial.called.is_empty() => format!("module {called} ({comm})"),
        Deed::Module if denial.path.is_empty() => format!("module from memory ({comm})"),
        Deed::Module => format!("module {path} ({comm})"),
        _ if denial.called.is_empty() || denial.called == denial.path => path.to_string(),
        _ => format!("{path}, called {called}"),
    }
}

fn capability(number: u32) -> String {
    let known = u8::try_from(number).ok().and_then(event::Capability::new);
    known.map_or_else(|| format!("CAP_{number}"), |known| known.to_string())
}

#[cfg(test)]
mod tests {
    use ::enforce::{Action, Cause, FileAct, FileKey, Reason, Told};

    use super::super::Format;
    use super::super::line::tests::shown;
    use super::super::names::tests::names;
    use super::super::tainted::tests::tainted;
    use super::*;

    fn denial() -> Denial {
        Denial {
            boot_ns: 5_000_000_000,
            policy: 3,
            deed: Deed::Exec,
            details: Details::Nothing,
            reason: Reason::Name,
            action: Action::Killed,
            cgroup_id: 77,
            mount_ns: 9,
            pid: 1234,
            pid_inside: 12,
            tid: 1234,
            ppid: 1200,
            uid: 0,
            comm: Text::from("whoami"),
            parent_comm: Text::from("s\x1b[2Jh"),
            called: Text::from("/tmp/l\x07ink"),
            path: Text::from("/usr/bin/whoami"),
            is_path_cut: false,
            file: FileKey { device: 27, inode: 1 << 60 },
        }
    }

    #[test]
    fn a_denial_is_one_line_and_no_text_of_it_reaches_a_terminal_raw() {
        let line = shown(Format::Text).line(&Told::Denial(denial()), &names());

        assert_eq!(
            line,
            "00:00:05.000 killed   web (abababababab)  /usr/bin/whoami, called '/tmp/l\\u{7}ink'  by pid 1234 (12 inside) of \
             's\\u{1b}[2Jh' (pid 1200), uid 0  policy 3: name"
        );
    }

    #[test]
    fn a_denial_in_json_names_container_policy_process_and_program() {
        let line = shown(Format::Json).line(&Told::Denial(denial()), &names());
        let value: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");

        assert_eq!(value["container"]["name"], "web");
        assert_eq!(value["policy"]["name"], "no whoami");
        assert_eq!(value["program"]["inode"], "1152921504606846976");
        assert_eq!(value["process"]["parent"]["pid"], 1200);
        assert!(!line.contains('\x1b'), "{line}");
    }

    #[test]
    fn each_kind_of_deed_says_what_it_was_about() {
        let line = |deed, details, path: &str, called: &str| {
            let (path, called) = (Text::from(path), Text::from(called));
            let denial = Denial { deed, details, path, called, comm: Text::from("n\x1bc"), ..denial() };
            let told = Told::Denial(denial.clone());
            assert!(!shown(Format::Text).line(&told, &names()).contains('\x1b'));
            let json = shown(Format::Json).line(&told, &names());
            let value: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
            assert_eq!(value["deed"], deed.name());
            (what(&denial), value)
        };
        let peer = Details::Peer("[2001:db8::1]:443".parse().expect("an address"));

        let (text, json) = line(Deed::Connect, peer, "", "");
        assert_eq!(text, "connect [2001:db8::1]:443 ('n\\u{1b}c')");
        assert_eq!((&json["peer"]["address"], &json["peer"]["port"]), (&"2001:db8::1".into(), &443.into()));
        let (text, json) = line(Deed::File, Details::File(FileAct::Move), "/etc/x", "");
        assert_eq!((text.as_str(), &json["file"]["act"]), ("move /etc/x ('n\\u{1b}c')", &"move".into()));
        let (text, json) = line(Deed::Listen, Details::Port(80), "", "");
        assert_eq!((text.as_str(), &json["port"]), ("listen 80 ('n\\u{1b}c')", &80.into()));
        let (text, json) = line(Deed::Capability, Details::Capability(13), "", "");
        assert_eq!((text.as_str(), &json["capability"]), ("CAP_NET_RAW ('n\\u{1b}c')", &"CAP_NET_RAW".into()));
        let (text, json) = line(Deed::Ptrace, Details::Process(7), "", "");
        assert_eq!((text.as_str(), &json["traced"]["pid"]), ("ptrace pid 7 ('n\\u{1b}c')", &7.into()));
        let (text, json) = line(Deed::Mount, Details::Nothing, "/mnt", "tmpfs");
        assert_eq!((text.as_str(), &json["mount"]["path"]), ("mount tmpfs at /mnt ('n\\u{1b}c')", &"/mnt".into()));
        let (text, json) = line(Deed::Module, Details::Nothing, "/x.ko", "");
        assert_eq!((text.as_str(), &json["module"]["path"]), ("module /x.ko ('n\\u{1b}c')", &"/x.ko".into()));
        assert!(json.get("program").is_none() && json.get("peer").is_none());
    }

    #[test]
    fn a_denial_says_what_had_been_read_before_if_its_policy_waited_for_that() {
        let mut names = names();
        names.hear(&tainted(Cause::Network, ""));
        let told = Told::Denial(denial());

        let text = shown(Format::Text).line(&told, &names);
        let said = "  policy 3: name, after network, by pid 1200 ('ng\\u{1b}inx') at 00:00:04.000";
        assert!(text.ends_with(said), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&shown(Format::Json).line(&told, &names)).expect("it is JSON");
        assert_eq!((&json["tainted"]["cause"], &json["tainted"]["pid"]), (&"network".into(), &1200.into()));
        let elsewhere = Told::Denial(Denial { cgroup_id: 78, ..denial() });
        assert!(!shown(Format::Text).line(&elsewhere, &names).contains("after network"));
    }
}
