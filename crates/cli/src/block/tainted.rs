//! What is shown of policies that wait until something was read.

use ::enforce::{Taint, Tainted};
use event::Text;
use report::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::line::{ContainerLine, ParentLine, PolicyLine, ProcessLine, Shown, container};
use super::names::Names;

/// A policy that waited and is strict in a container from now on, as a line of JSON between those of denials.
#[derive(Serialize, JsonSchema)]
pub(super) struct TaintedLine<'a> {
    schema_version: report::FormatVersion<1>,
    time: Timestamp,
    /// Always `tainted`.
    action: &'static str,
    /// `network`: a read from a socket. `file`: a file was opened to be read. `depth`: a cgroup was made in the container deeper in the
    /// tree than is watched. `no_room`: there was no room for the policy to wait.
    cause: &'static str,
    policy: PolicyLine<'a>,
    container: Option<ContainerLine<'a>>,
    process: ProcessLine<'a>,
    /// Of `file`: which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<ReadLine<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct ReadLine<'a> {
    /// As the container sees it.
    path: &'a Text,
    /// Whether the beginning of the path is missing.
    is_path_cut: bool,
}

/// By what a policy became strict.
#[derive(Serialize, JsonSchema)]
pub(super) struct TaintLine<'a> {
    time: Timestamp,
    /// `network`, `file`, `depth` or `no_room`.
    cause: &'static str,
    pid: u32,
    comm: &'a Text,
}

impl<'a> TaintLine<'a> {
    pub(super) fn of(taint: &'a Taint, shown: &Shown) -> TaintLine<'a> {
        TaintLine { time: shown.timestamp(taint.boot_ns), cause: taint.cause.name(), pid: taint.pid, comm: &taint.comm }
    }
}

/// Where a policy that waited is strict.
#[derive(Serialize, JsonSchema)]
pub(super) struct StrictLine<'a> {
    container: Option<ContainerLine<'a>>,
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    cgroup_id: u64,
    after: TaintLine<'a>,
}

impl<'a> StrictLine<'a> {
    pub(super) fn of(taint: &'a Taint, shown: &Shown, names: &'a Names) -> StrictLine<'a> {
        StrictLine {
            container: names.in_cgroup(taint.cgroup_id).map(|(id, name)| ContainerLine { id, name }),
            cgroup_id: taint.cgroup_id,
            after: TaintLine::of(taint, shown),
        }
    }
}

/// The action of what denies nothing and makes a policy strict.
const TAINTED: &str = "tainted";

impl Shown {
    pub(super) fn tainted_json<'a>(&self, tainted: &'a Tainted, names: &'a Names) -> TaintedLine<'a> {
        TaintedLine {
            schema_version: report::FormatVersion,
            time: self.timestamp(tainted.boot_ns),
            action: TAINTED,
            cause: tainted.cause.name(),
            policy: PolicyLine { number: tainted.policy, name: names.policy(tainted.policy) },
            container: names.in_cgroup(tainted.cgroup_id).map(|(id, name)| ContainerLine { id, name }),
            process: ProcessLine {
                pid: tainted.pid,
                pid_inside: tainted.pid_inside,
                tid: tainted.tid,
                uid: tainted.uid,
                comm: &tainted.comm,
                parent: ParentLine { pid: tainted.ppid, comm: &tainted.parent_comm },
            },
            file: (!tainted.path.is_empty())
                .then_some(ReadLine { path: &tainted.path, is_path_cut: tainted.is_path_cut }),
        }
    }

    pub(super) fn tainted_text(&self, tainted: &Tainted, names: &Names) -> String {
        let comm = report::quoted(&tainted.comm);
        let what = match tainted.path.is_empty() {
            true => comm.to_string(),
            false => format!("read {} ({comm})", report::quoted(&tainted.path)),
        };
        format!(
            "{} {TAINTED:<8} {}  {what}  by pid {} ({} inside) of {} (pid {}), uid {}  policy {}: {}",
            self.clock(tainted.boot_ns),
            container(names.in_cgroup(tainted.cgroup_id), tainted.cgroup_id),
            tainted.pid,
            tainted.pid_inside,
            report::quoted(&tainted.parent_comm),
            tainted.ppid,
            tainted.uid,
            tainted.policy,
            tainted.cause.name(),
        )
    }

    /// By what a policy became strict, and since when.
    pub(super) fn taint_text(&self, taint: &Taint) -> String {
        let comm = report::quoted(&taint.comm);
        format!("{}, by pid {} ({comm}) at {}", taint.cause.name(), taint.pid, self.clock(taint.boot_ns))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ::enforce::{Cause, Told};

    use super::super::Format;
    use super::super::line::tests::shown;
    use super::super::names::tests::names;
    use super::*;

    pub(crate) fn tainted(cause: Cause, path: &str) -> Told {
        Told::Tainted(Tainted {
            boot_ns: 4_000_000_000,
            policy: 3,
            cause,
            cgroup_id: 77,
            pid: 1200,
            pid_inside: 9,
            tid: 1201,
            ppid: 1,
            uid: 0,
            comm: Text::from("ng\x1binx"),
            parent_comm: Text::from("init"),
            path: Text::from(path),
            is_path_cut: false,
        })
    }

    #[test]
    fn what_makes_a_policy_strict_is_one_line() {
        let line = |cause, path, format| shown(format).line(&tainted(cause, path), &names());

        assert_eq!(
            line(Cause::Network, "", Format::Text),
            "00:00:04.000 tainted  web (abababababab)  'ng\\u{1b}inx'  by pid 1200 (9 inside) of init (pid 1), uid 0  policy 3: network"
        );
        assert_eq!(
            line(Cause::File, "/srv/a\x07", Format::Text),
            "00:00:04.000 tainted  web (abababababab)  read '/srv/a\\u{7}' ('ng\\u{1b}inx')  by pid 1200 (9 inside) of init (pid 1), uid 0  policy 3: file"
        );
        let json: serde_json::Value =
            serde_json::from_str(&line(Cause::File, "/srv/a", Format::Json)).expect("it is JSON");
        assert_eq!((&json["action"], &json["cause"]), (&"tainted".into(), &"file".into()));
        assert_eq!((&json["file"]["path"], &json["container"]["name"]), (&"/srv/a".into(), &"web".into()));
    }
}
