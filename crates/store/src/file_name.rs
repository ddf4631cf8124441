//! What the file of a report is called.

use event::Text;
use report::Report;

/// So much of a container's own name is kept: with the rest the file's name stays far below 255 bytes.
const MAX_NAME_BYTES: usize = 64;
const SHORT_ID_BYTES: usize = 12;

/// `web-20260131T235959Z-3.0.json`: the container, the start of the window in UTC, slot and generation. From the
/// second attempt on with a number, for recordings that began in the same second.
///
/// Whatever a container is called, the name has only letters, digits, `.`, `_` and `-`, and starts with a letter, a
/// digit or `_`: it cannot lead out of the folder, hide, or look like an option.
pub(crate) fn file_name(report: &Report, attempt: u32) -> String {
    let container = &report.container;
    let run = container.run;
    let begin = report.window.begin.wall.compact();
    let again = if attempt > 1 { format!("-{attempt}") } else { String::new() };
    format!("{}-{begin}-{}.{}{again}.json", stem(report), run.slot, run.generation)
}

/// The container's name, else the beginning of its id, else the last part of its cgroup's path.
fn stem(report: &Report) -> String {
    let container = &report.container;
    let name = container.name.as_ref().map(|name| (name, MAX_NAME_BYTES));
    let id = container.id.as_ref().map(|id| (id, SHORT_ID_BYTES));
    let named = [name, id].into_iter().flatten().map(|(text, most)| harmless(text, most));
    let cgroup = container.cgroup.as_ref().map(|cgroup| {
        let last = cgroup.path.as_bytes().rsplit(|&byte| byte == b'/').find(|part| !part.is_empty());
        harmless(&Text::new(last.unwrap_or_default()), MAX_NAME_BYTES)
    });
    named.chain(cgroup).find(|stem| !stem.is_empty()).unwrap_or_else(|| container.kind.name().to_owned())
}

fn harmless(text: &Text, most_bytes: usize) -> String {
    let bytes = text.as_bytes().iter().take(most_bytes).enumerate();
    bytes
        .map(|(at, &byte)| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte),
            b'.' | b'-' if at > 0 => char::from(byte),
            _ => '_',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use event::Text;
    use proptest::prelude::*;
    use report::Report;

    use super::file_name;

    fn report(name: Option<&[u8]>) -> Report {
        let mut report =
            Report::parse(include_bytes!("../../report/tests/reports/1-docker.json")).expect("a kept report");
        report.container.name = name.map(Text::new);
        report
    }

    #[test]
    fn people_find_the_container_and_the_time() {
        assert_eq!(file_name(&report(Some(b"web")), 1), "web-20260102T030405Z-3.0.json");
        assert_eq!(file_name(&report(Some(b"web")), 2), "web-20260102T030405Z-3.0-2.json");
    }

    #[test]
    fn without_a_name_it_is_the_id_then_the_cgroup_then_the_kind() {
        let mut report = report(Some(b""));
        assert_eq!(file_name(&report, 1), "3f2a9c1d8e7b-20260102T030405Z-3.0.json");

        report.container.id = None;
        report.container.cgroup.as_mut().expect("a cgroup").path = "/user.slice/my job/".into();
        assert_eq!(file_name(&report, 1), "my_job-20260102T030405Z-3.0.json");

        report.container.cgroup = None;
        assert_eq!(file_name(&report, 1), "container-20260102T030405Z-3.0.json");
    }

    #[test]
    fn no_name_leads_out_of_the_folder_or_hides() {
        for (name, start) in [
            (&b"../../etc/passwd"[..], "_._.._etc_passwd-"),
            (b".hidden", "_hidden-"),
            (b"--all", "_-all-"),
            (b"a\0b\nc\xff", "a_b_c_-"),
            (b"..", "_.-"),
        ] {
            let file = file_name(&report(Some(name)), 1);
            assert!(file.starts_with(start), "{file}");
        }
    }

    proptest! {
        #[test]
        fn every_name_gives_one_plain_file_name(name in prop::collection::vec(any::<u8>(), 0..400), slot: u32, generation: u32) {
            let mut report = report(Some(&name));
            report.container.run = event::RunId { slot, generation };

            let file = file_name(&report, u32::MAX);

            prop_assert!(file.len() <= 255);
            prop_assert!(!file.starts_with(['.', '-']));
            prop_assert!(file.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{}", file);
        }
    }
}
