//! Which BPF programs, maps and links the kernel holds: what a dead program left behind shows here.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::{command, must};
use crate::reports::list;

/// One object: its kind (`prog`, `map` or `link`) and its number, which the kernel gives to no other one soon.
pub type Object = (&'static str, u64);

/// The kinds, as `bpftool` and `/proc/PID/fdinfo` name them.
const KINDS: [(&str, &str); 3] = [("prog", "prog_id:"), ("map", "map_id:"), ("link", "link_id:")];

/// All objects that are loaded now with their names, by `bpftool`.
pub fn loaded() -> Result<BTreeMap<Object, String>> {
    let mut objects = BTreeMap::new();
    for (kind, _) in KINDS {
        let listed = must(&mut command("bpftool", ["--json", kind, "list"]))?;
        let listed: Value = serde_json::from_str(&listed).context("bpftool's JSON")?;
        for object in list(&listed) {
            let id = object["id"].as_u64().with_context(|| format!("no id: {object}"))?;
            objects.insert((kind, id), object["name"].as_str().unwrap_or_default().to_owned());
        }
    }
    Ok(objects)
}

/// Those that a process has descriptors of.
pub fn held_by(pid: u32) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo")).context("the process is gone")? {
        // A descriptor that was closed meanwhile.
        let Ok(text) = std::fs::read_to_string(entry?.path()) else { continue };
        objects.extend(object_of(&text)?);
    }
    Ok(objects)
}

/// Fills a map that is pinned there, whose keys and values have eight bytes, up to its last place: keys from 2^32 on, and zeros.
pub fn fill(pinned: &Path) -> Result<()> {
    let map = pinned.to_str().context("the path is no text")?;
    let shown: Value = serde_json::from_str(&must(&mut command("bpftool", ["--json", "map", "show", "pinned", map]))?)?;
    let most = shown["max_entries"].as_u64().with_context(|| format!("no size: {shown}"))?;
    let known: Value = serde_json::from_str(&must(&mut command("bpftool", ["--json", "map", "dump", "pinned", map]))?)?;
    let mut lines = tempfile::NamedTempFile::new()?;
    for key in 0..most - list(&known).len() as u64 {
        let bytes = ((1 << 32) + key).to_ne_bytes().map(|byte| byte.to_string()).join(" ");
        writeln!(lines, "map update pinned {map} key {bytes} value 0 0 0 0 0 0 0 0")?;
    }
    lines.flush()?;
    must(command("bpftool", ["batch", "file"]).arg(lines.path()))?;
    Ok(())
}

/// The object that a descriptor stands for. That of a link names its program too.
fn object_of(fdinfo: &str) -> Result<Option<Object>> {
    for (kind, field) in KINDS.into_iter().rev() {
        if let Some(id) = fdinfo.lines().find_map(|line| line.strip_prefix(field)) {
            return Ok(Some((kind, id.trim().parse().context("the number of a BPF object")?)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_tells_its_object() {
        let cases = [
            ("pos:\t0\nprog_type:\t26\nprog_id:\t201\n", Some(("prog", 201))),
            ("pos:\t0\nmap_type:\t2\nmap_id:\t7\n", Some(("map", 7))),
            ("pos:\t0\nlink_type:\traw\nlink_id:\t3\nprog_id:\t201\n", Some(("link", 3))),
            ("pos:\t0\nflags:\t02\n", None),
        ];
        for (fdinfo, expected) in cases {
            assert_eq!(object_of(fdinfo).expect("a number"), expected);
        }
    }
}
