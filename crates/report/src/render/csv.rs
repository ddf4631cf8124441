//! The system calls of a report as CSV.

use super::calls;
use crate::Report;
use event::Text;

/// The columns; within one schema version, new ones are only added at the end.
const COLUMNS: [&str; 12] = [
    "phase",
    "arch",
    "number",
    "name",
    "count",
    "failed",
    "failures",
    "first_boot_ns",
    "first_pid",
    "first_comm",
    "first_executable",
    "last_boot_ns",
];

/// The system calls as CSV (RFC 4180: lines end with CR LF, text is quoted where it must be), one row per phase, table
/// and call in the order of the report.
///
/// In text columns a backslash stands as `\\`, a byte that is not valid UTF-8 as `\xHH`, and a character that a
/// terminal would obey as `\n`, `\r`, `\t` or `\u{…}`; so no field has a line break, and the bytes can be had back.
/// `failures` is a list of `ERRNO=count` with spaces between.
pub fn csv(report: &Report) -> String {
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    let mut row = |fields: &[String]| writer.write_record(fields).expect("memory takes rows of equal length");
    row(&COLUMNS.map(str::to_owned));
    for used in &report.behaviour.syscalls.uses {
        let failures = used.failures.iter().map(|failure| format!("{}={}", failure.errno, failure.count));
        let first = used.first.as_ref();
        let text = |text: Option<&Text>| text.map(|text| text.shown().into_owned()).unwrap_or_default();
        row(&[
            used.phase.to_string(),
            used.syscall.arch.to_string(),
            used.syscall.number.to_string(),
            calls::name(used),
            used.count.to_string(),
            calls::failed(&used.failures).to_string(),
            failures.collect::<Vec<_>>().join(" "),
            first.map(|first| first.boot_ns.to_string()).unwrap_or_default(),
            first.map(|first| first.image.process.pid.to_string()).unwrap_or_default(),
            text(first.map(|first| &first.comm)),
            text(first.map(|first| &first.executable)),
            used.last_boot_ns.to_string(),
        ]);
    }
    let bytes = writer.into_inner().expect("memory can be flushed");
    String::from_utf8(bytes).expect("every field is UTF-8")
}
