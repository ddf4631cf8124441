//! What the guards tell, as lines, and what all of them have.

use ::enforce::Told;
use event::Text;
use jiff::tz::TimeZone;
use report::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::names::Names;
use super::{Format, short};

#[derive(Serialize, JsonSchema)]
pub(super) struct PolicyLine<'a> {
    pub(super) number: u32,
    pub(super) name: &'a str,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ContainerLine<'a> {
    pub(super) id: &'a str,
    pub(super) name: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ProcessLine<'a> {
    pub(super) pid: u32,
    pub(super) pid_inside: u32,
    pub(super) tid: u32,
    pub(super) uid: u32,
    pub(super) comm: &'a Text,
    pub(super) parent: ParentLine<'a>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ParentLine<'a> {
    pub(super) pid: u32,
    pub(super) comm: &'a Text,
}

/// How denials are shown.
pub(crate) struct Shown {
    format: Format,
    zone: TimeZone,
    ahead_ns: u64,
}

impl Shown {
    pub(crate) fn new(format: Format) -> Shown {
        let ahead_ns = now_ns(rustix::time::ClockId::Realtime).saturating_sub(now_ns(rustix::time::ClockId::Boottime));
        Shown { format, zone: TimeZone::system(), ahead_ns }
    }

    pub(crate) fn line(&self, told: &Told, names: &Names) -> String {
        match (self.format, told) {
            (Format::Text, Told::Denial(denial)) => self.denial_text(denial, names),
            (Format::Json, Told::Denial(denial)) => report::json_line(&self.denial_json(denial, names)),
            (Format::Text, Told::Tainted(tainted)) => self.tainted_text(tainted, names),
            (Format::Json, Told::Tainted(tainted)) => report::json_line(&self.tainted_json(tainted, names)),
        }
    }

    pub(super) fn timestamp(&self, boot_ns: u64) -> Timestamp {
        Timestamp::from_unix_ns(self.ahead_ns + boot_ns)
    }

    pub(super) fn clock(&self, boot_ns: u64) -> String {
        let at = i128::from(self.ahead_ns + boot_ns);
        let time = jiff::Timestamp::from_nanosecond(at).map(|time| time.to_zoned(self.zone.clone()));
        time.map_or_else(|_| "-".to_owned(), |time| time.strftime("%H:%M:%S%.3f").to_string())
    }
}

/// A container, shown as people say it.
pub(super) fn container(known: Option<(&str, Option<&str>)>, cgroup_id: u64) -> String {
    let said = match known {
        Some((id, Some(name))) => format!("{name} ({})", short(id)),
        Some((id, None)) => short(id).to_owned(),
        None => format!("cgroup {cgroup_id}"),
    };
    Text::from(said.as_str()).shown().into_owned()
}

fn now_ns(clock: rustix::time::ClockId) -> u64 {
    let now = rustix::time::clock_gettime(clock);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::super::denial::DenialLine;
    use super::super::tainted::TaintedLine;
    use super::*;

    pub(crate) fn shown(format: Format) -> Shown {
        Shown { format, zone: TimeZone::UTC, ahead_ns: 0 }
    }

    pub(crate) fn check_schema(name: &str, title: &str, mut schema: schemars::Schema) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema").join(name);
        schema.insert("title".into(), title.into());
        let actual = report::json(&schema);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &actual).expect("the schema can be written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(actual == expected, "{} differs from the types: UPDATE=1 writes it anew", path.display());
    }

    #[test]
    fn the_schemas_that_are_checked_in_are_those_of_the_types() {
        let denial = schemars::schema_for!(DenialLine<'static>);
        check_schema("denial-1.json", "ringfence denial, version 1", denial);
        let tainted = schemars::schema_for!(TaintedLine<'static>);
        check_schema("tainted-1.json", "ringfence tainted container, version 1", tainted);
    }
}
