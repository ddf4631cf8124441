//! The page with the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use e2e::reports::list;
use serde_json::Value;

/// The table of the rows that are done, of so many, and how many are not proved.
pub(crate) fn page(rows: &[&Value], asked: usize) -> Result<(String, usize)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut page = String::from(
        "# Proof\n\nWritten by `./x prove --write docs/proof.md`. Each row is a workload that was recorded, and then started so often under what \
         is recommended for it; both controls of [a proof](proving.md) are part of each. *Failures* is the share of starts that may \
         fail all the same, at 95 % confidence, from the number of starts alone.\n\n\
         | workload | by | runtime | no_new_privileges | starts | worked | denials | failures | calls allowed | of these observed | denied before and added | capabilities | missed when taken away | verdict |\n\
         |---|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---|\n",
    );
    let (mut starts, mut worked, mut denials, mut failed) = (0, 0, 0, 0);
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut why = String::new();
    for row in rows {
        let name = text(&row["row"]);
        let words: Vec<&str> = name.split(' ').collect();
        let [workload, place, runtime, setting] = words.as_slice() else { bail!("a row is called {name}") };
        let setting = if *setting == "nnp" { "yes" } else { "no" };
        failed += usize::from(row["verdict"] != "proved");
        for reason in list(&row["reasons"]) {
            writeln!(why, "- {name}: {}", text(reason))?;
        }
        let (these, those) = (row["starts"].as_u64().unwrap_or(0), row["worked"].as_u64().unwrap_or(0));
        starts += these;
        worked += those;
        denials += list(&row["denials"]).len();
        let version = row["runtime"]["version"].as_str().unwrap_or("?");
        let sum = sums.entry(format!("{runtime} {version}, no_new_privileges {setting}")).or_default();
        *sum = (sum.0 + these, sum.1 + those);
        writeln!(
            page,
            "| {workload} | {place} | {runtime} {version} | {setting} | {these} | {those} | {} | below {:.2} % | {} | {} | {} | {} | {} | {} |",
            list(&row["denials"]).len(),
            row["failures_below"].as_f64().unwrap_or(1.0) * 100.0,
            row["calls"],
            row["observed"],
            row["amended"],
            row["capabilities"],
            text(&row["missed"]),
            text(&row["verdict"]),
        )?;
    }
    writeln!(
        page,
        "\n{} of {asked} rows are done, {starts} starts: {} failed, {denials} denials; {failed} rows are not proved.\n",
        rows.len(),
        starts - worked
    )?;
    for (what, (starts, worked)) in sums {
        let bound =
            if starts == worked && starts > 0 { 100.0 * (1.0 - 0.05f64.powf(1.0 / starts as f64)) } else { 100.0 };
        writeln!(
            page,
            "- {what}: {starts} starts, {} failed: fewer than {bound:.2} % fail, at 95 % confidence",
            starts - worked
        )?;
    }
    if !why.is_empty() {
        writeln!(page, "\n{why}")?;
    }
    page.push_str(&sizes(rows)?);
    Ok((page, failed))
}

/// What each workload may do without the recommendation, and under it.
fn sizes(rows: &[&Value]) -> Result<String> {
    let mut table = String::from(
        "\n## Size\n\nWhat is open without the recommendation and under it, where both are known: a bundle has no filter, and is given docker's default \
         capabilities here. The system calls \
         are those of the tables that it used; the escapes are [those that ringfence knows](recommendation.md).\n\n\
         | workload | by | runtime | no_new_privileges | system calls before | after | capabilities before | after | escapes closed | still open |\n\
         |---|---|---|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows.iter().filter(|row| !row["calls_now"].is_null()) {
        let name = row["row"].as_str().unwrap_or_default();
        let words: Vec<&str> = name.split(' ').collect();
        let [workload, place, runtime, setting] = words.as_slice() else { continue };
        let setting = if *setting == "nnp" { "yes" } else { "no" };
        writeln!(
            table,
            "| {workload} | {place} | {runtime} | {setting} | {} | {} | {} | {} | {} | {} |",
            row["calls_now"],
            row["calls_after"],
            row["capabilities_now"],
            row["capabilities"],
            row["escapes_closed"],
            row["escapes_open"],
        )?;
    }
    Ok(table)
}
