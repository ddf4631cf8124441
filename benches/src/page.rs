//! The page with all that was measured.

use anyhow::{Result, bail, ensure};

use crate::host::Host;
use crate::items::ITEMS;
use crate::outcome::Outcome;

/// The page with these items alone.
pub(crate) fn page(host: &Host, quick: bool, outcomes: &[Outcome]) -> String {
    joined(head(host, quick), outcomes.iter().map(Outcome::markdown))
}

/// A page that is there, with these items anew. All on a page is of one machine.
pub(crate) fn renewed(old: &str, host: &Host, quick: bool, outcomes: &[Outcome]) -> Result<String> {
    let head = head(host, quick);
    let Some(old) = old.strip_prefix(&head) else {
        bail!("it is of another machine, or of another length: write all of it")
    };
    let mut sections: Vec<String> = Vec::new();
    for line in old.lines() {
        if line.starts_with("## ") {
            sections.push(String::new());
        }
        let Some(section) = sections.last_mut() else { continue };
        section.push_str(line);
        section.push('\n');
    }
    let title = |section: &str| section.lines().next().unwrap_or_default().trim_start_matches("## ").to_owned();
    let place = |title: &str| ITEMS.iter().position(|item| item.title == title);
    for section in &sections {
        ensure!(
            place(&title(section)).is_some(),
            "it has `{}`, which is no item any more: write all of it",
            title(section)
        );
    }
    sections.retain(|section| outcomes.iter().all(|outcome| outcome.title != title(section)));
    sections.extend(outcomes.iter().map(Outcome::markdown));
    sections.sort_by_key(|section| place(&title(section)));
    Ok(joined(head, sections))
}

fn head(host: &Host, quick: bool) -> String {
    let mut head = format!(
        "# Performance\n\nWritten by `./x bench --write docs/performance.md`{}, on {host}.\n\n",
        if quick { " with `--quick`: rough numbers" } else { "" }
    );
    head.push_str(
        "Each number is of things that ran in turns in the same minutes. A target was met or missed on this machine, under \
         the load that is said with it. ",
    );
    head.push_str("What a call costs depends on what the kernel does against flaws of the CPU; here:\n\n");
    for mitigation in &host.mitigations {
        head.push_str(&format!("- {mitigation}\n"));
    }
    head.push('\n');
    head
}

fn joined(head: String, sections: impl IntoIterator<Item = String>) -> String {
    let sections: Vec<String> = sections.into_iter().map(|section| section.trim_end().to_owned()).collect();
    format!("{head}{}\n", sections.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use crate::host::Load;

    use super::*;

    fn outcome(number: usize, note: &str) -> Outcome {
        let load = Load { before: 0.0, after: 0.0, cpus: 1 };
        let (name, title) = (ITEMS[number].name, ITEMS[number].title);
        Outcome { name, title, tables: vec![], checks: vec![], notes: vec![note.into()], load, seconds: 1.0 }
    }

    #[test]
    fn items_are_renewed_in_their_places_and_the_others_stay() {
        let host = Host::this();
        let old = page(&host, false, &[outcome(0, "first"), outcome(2, "third")]);

        let new =
            renewed(&old, &host, false, &[outcome(2, "third again"), outcome(1, "second")]).expect("it is renewed");

        assert_eq!(new, page(&host, false, &[outcome(0, "first"), outcome(1, "second"), outcome(2, "third again")]));
    }

    #[test]
    fn a_page_of_another_machine_or_with_unknown_items_is_not_renewed() {
        let host = Host::this();
        let old = page(&host, false, &[outcome(0, "first")]);

        assert!(renewed(&old.replace("MiB", "GiB"), &host, false, &[]).is_err());
        assert!(renewed(&old, &host, true, &[]).is_err());
        assert!(renewed(&(old + "\n## Something else\n"), &host, false, &[]).is_err());
    }
}
