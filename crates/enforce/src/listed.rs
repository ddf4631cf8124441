//! Policies that let nothing run, and nothing be written, but what is listed: what they say, and what that means in a container.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use schemars::JsonSchema;
use sensors::guard::{FileKey, GuardError, Guards};
use serde::{Deserialize, Serialize};

use crate::files::{self, Stat};
use crate::written::Roots;
use crate::{PolicyError, Program, WrittenPlace};

/// The programs that may run, and the places that may be written; nothing else may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Programs by their whole paths, as the kernel finds them below the root of the container: no link is in them.
    pub programs: Vec<Program>,
    /// Scripts that are run by their names. Of each its interpreter must be among the programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<Script>,
    /// Of programs that are many (busybox, toybox, coreutils): the names that may be picked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applets: Vec<String>,
    /// The places that may be written; without it all may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Vec<WrittenPlace>>,
}

/// A script that may run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Its whole path.
    pub path: Program,
    /// What it is called, if that is not its path: where a program is judged only when its exec is done, a script is told by this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
}

impl Script {
    /// Whether a script that is called by this can be told.
    pub fn may_be_called(text: &str) -> bool {
        !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.contains('\0')
    }
}

/// The longest name, and the longest text that is told to the kernel whole.
const MAX_TEXT_BYTES: usize = 254;

impl Listed {
    /// Whether it can be put in force at all.
    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        let wrong = |program: &str, why| Err(PolicyError::Program { program: program.to_owned(), why });
        if self.programs.is_empty() {
            return Err(PolicyError::NothingListed);
        }
        let paths = self.programs.iter().chain(self.scripts.iter().map(|script| &script.path));
        for path in paths {
            if !path.is_path() {
                return wrong(path.as_str(), "what alone may run is listed by its whole path");
            }
        }
        for script in &self.scripts {
            let called = script.called.as_deref().unwrap_or(script.path.as_str());
            if !Script::may_be_called(called) {
                return wrong(called, "a script is called by one byte to 254, none of them zero");
            }
        }
        for applet in &self.applets {
            if !Listed::may_be_picked(applet) {
                return wrong(applet, "an applet is a bare name");
            }
        }
        Ok(())
    }

    /// Whether this can be the name that picks a program of many.
    pub fn may_be_picked(name: &str) -> bool {
        !name.is_empty() && name.len() <= MAX_TEXT_BYTES && !name.contains(['/', '\0'])
    }

    /// In one line.
    pub(crate) fn what(&self) -> String {
        let of = |count: usize, one, many| format!("{count} {}", if count == 1 { one } else { many });
        let mut parts = vec![of(self.programs.len(), "program", "programs")];
        if !self.scripts.is_empty() {
            parts.push(of(self.scripts.len(), "script", "scripts"));
        }
        if !self.applets.is_empty() {
            parts.push(of(self.applets.len(), "applet", "applets"));
        }
        let mut what = format!("all programs but those that are listed ({})", parts.join(", "));
        if let Some(places) = &self.written {
            what += &format!(", all writing but where it is listed ({})", of(places.len(), "place", "places"));
        }
        what
    }

    /// Tells the guards what holds in every container, and then that nothing else may run or be written.
    pub(crate) fn apply(&self, guards: &Guards, host_root: FileKey, number: u32) -> Result<(), GuardError> {
        for program in &self.programs {
            guards.list_path(program.as_str().as_bytes(), number)?;
            // Where programs that are many are one file with many names.
            guards.list_applet(program.name().as_bytes(), number)?;
        }
        for script in &self.scripts {
            guards.list_path(script.path.as_str().as_bytes(), number)?;
            guards.list_text(script.called.as_deref().unwrap_or(script.path.as_str()).as_bytes(), number)?;
        }
        for applet in &self.applets {
            guards.list_applet(applet.as_bytes(), number)?;
        }
        if let Some(places) = &self.written {
            places.iter().try_for_each(|place| place.apply(guards, number))?;
            guards.write_only_what_is_listed(host_root, number)?;
        }
        guards.allow_only_what_is_listed(host_root, number)
    }
}

/// What the list means in one container, as far as the guards were told.
#[derive(Debug, Default)]
pub(crate) struct ListedThere {
    files: BTreeMap<Stat, FileKey>,
    many: BTreeSet<Stat>,
    paths: BTreeSet<Vec<u8>>,
    roots: Roots,
}

/// What is found in a container.
struct Found {
    /// Programs that are one program each, and have one name.
    files: Vec<OwnedFd>,
    many: Vec<OwnedFd>,
    paths: BTreeSet<Vec<u8>>,
}

impl ListedThere {
    /// Looks up what is listed in the root of this process, and tells the guards what is new.
    pub(crate) fn renew(&mut self, listed: &Listed, pid: u32, guards: &Guards, number: u32) -> Result<(), String> {
        fn said(error: impl std::fmt::Display) -> String {
            error.to_string()
        }
        if listed.written.is_some() {
            self.roots.renew(pid, guards, number)?;
        }
        let found = look_up(pid, listed).map_err(said)?;
        for path in found.paths {
            if !self.paths.contains(&path) {
                guards.list_path(&path, number).map_err(said)?;
                self.paths.insert(path);
            }
        }
        for file in &found.many {
            let stat = Stat::of(file.as_fd()).map_err(said)?;
            if self.many.insert(stat) {
                let key = guards.file_key(file.as_fd()).map_err(said)?;
                guards.name_many(key, number).map_err(said)?;
            }
        }
        let mut old = std::mem::take(&mut self.files);
        for file in &found.files {
            let stat = Stat::of(file.as_fd()).map_err(said)?;
            let key = match old.remove(&stat) {
                Some(key) => key,
                None => {
                    let key = guards.file_key(file.as_fd()).map_err(said)?;
                    guards.list_file(key, number).map_err(said)?;
                    key
                }
            };
            self.files.insert(stat, key);
        }
        // The file under the old number may be anything by now.
        for key in old.into_values().filter(|key| !self.files.values().any(|kept| kept == key)) {
            guards.unlist_file(key, number).map_err(said)?;
        }
        Ok(())
    }

    /// The container has ended: other files may get the numbers of its own.
    pub(crate) fn forget(&self, guards: &Guards, number: u32) -> Result<(), GuardError> {
        self.roots.forget(guards, number)?;
        self.files.values().try_for_each(|file| guards.unlist_file(*file, number))
    }
}

fn look_up(pid: u32, listed: &Listed) -> io::Result<Found> {
    let (root, _) = files::root_of(pid)?;
    let many = files::many_in(&root, &files::folders(pid))?;
    let mut found = Found { files: Vec::new(), many: Vec::new(), paths: BTreeSet::new() };
    for path in listed.programs.iter().chain(listed.scripts.iter().map(|script| &script.path)) {
        let Some(file) = files::find(&root, Path::new(path.as_str())) else { continue };
        found.paths.insert(files::path_seen(&file)?);
        // Under another name such a file is another program.
        if many.contains(&Stat::of(file.as_fd())?) {
            found.many.push(file);
        } else if rustix::fs::fstat(&file)?.st_nlink == 1 {
            found.files.push(file);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensors::guard::Deed;

    use crate::{Policy, Target};

    fn policy(json: &str) -> Result<Policy, PolicyError> {
        let head = r#"{"schema_version":1,"containers":[{"container":"web"}],"only":"#;
        Policy::parse(format!("{head}{json}}}").as_bytes())
    }

    #[test]
    fn a_list_is_of_whole_paths_and_is_never_empty() {
        assert_eq!(policy(r#"{"programs":[]}"#), Err(PolicyError::NothingListed));
        for wrong in [
            r#"{"programs":["sh"]}"#,
            r#"{"programs":["/bin/sh"],"scripts":[{"path":"a.sh"}]}"#,
            r#"{"programs":["/bin/sh"],"scripts":[{"path":"/a.sh","called":""}]}"#,
            r#"{"programs":["/bin/sh"],"applets":["a/b"]}"#,
            r#"{"programs":["/bin/sh"],"applets":[""]}"#,
        ] {
            assert!(matches!(policy(wrong), Err(PolicyError::Program { .. })), "{wrong}");
        }
        assert!(matches!(policy(r#"{"programs":["/bin/sh"],"program":[]}"#), Err(PolicyError::Json(_))));
    }

    #[test]
    fn a_policy_with_a_list_is_read_back_as_it_was_written_and_said_in_a_line() {
        let read = policy(
            r#"{"programs":["/bin//sh","/usr/bin/id"],"scripts":[{"path":"/a.sh","called":"./a.sh"}],"applets":["sh"]}"#,
        );
        let read = read.expect("it is a policy");

        assert_eq!(read.containers, [Target::Container("web".into())]);
        assert_eq!(Policy::parse(read.to_json().as_bytes()).as_ref(), Ok(&read));
        assert_eq!(read.what(), "all programs but those that are listed (2 programs, 1 script, 1 applet)");
    }

    #[test]
    fn nothing_at_all_may_be_written_or_everything() {
        let read = |json| policy(json).expect("it is a policy");
        let none = read(r#"{"programs":["/bin/sh"],"written":[]}"#);
        let all = read(r#"{"programs":["/bin/sh"]}"#);

        assert_eq!(none.deeds(), [Deed::Exec, Deed::Write]);
        assert_eq!(all.deeds(), [Deed::Exec]);
        assert_eq!(Policy::parse(none.to_json().as_bytes()), Ok(none));
        let wrong = policy(r#"{"programs":["/bin/sh"],"written":["/"]}"#);
        assert!(matches!(wrong, Err(PolicyError::Json(_))), "{wrong:?}");
    }
}
