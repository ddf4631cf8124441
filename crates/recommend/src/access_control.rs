//! What the workload used of files, sockets and namespaces: what mandatory access control decides about.

use std::collections::{BTreeMap, BTreeSet};

use behaviour::{Files, NameUse, Network, OperationUse, PathUse};
use event::{
    Direction, FileAccess, FileAccesses, FileType, NameOperation, Outcome, Phase, PrivilegedOperation, SocketFamily,
    SocketType, Text,
};
use report::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Options;
use crate::source::{Runs, who};

/// What the workload used of files, sockets and namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AccessControl {
    /// What may be missing here, in sentences: what is derived from it may then deny what the workload needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Text>,
    /// Files and directories, by path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileNeed>,
    /// Names that files got beside those that they had, by the new name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkNeed>,
    /// The sockets that it made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<SocketNeed>,
    /// What it did that concerns more than its own processes and files, by name; only what the kernel allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationNeed>,
}

/// How a file or directory was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileNeed {
    /// Its path in the container; of a directory without a slash at the end.
    pub path: Text,
    /// Whether it stands for all files of this directory: there were too many to list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_below: bool,
    /// Whether it is a directory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub directory: bool,
    /// Whether it is a device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub device: bool,
    /// Whether it is the name of a unix socket that it listened on or connected to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub socket: bool,
    /// It was opened to be read, read or listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read: bool,
    /// It was opened to be written, or its contents, mode or owner were changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub write: bool,
    /// Its name was made, removed or changed: the workload chooses names there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub named: bool,
    /// It was run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub execute: bool,
    /// It was mapped so that it can be executed, as libraries are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub map: bool,
}

/// A second name of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct LinkNeed {
    /// The new name.
    pub path: Text,
    /// The name that it had.
    pub target: Text,
}

/// A kind of socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SocketNeed {
    /// The family.
    pub family: SocketFamily,
    /// The type.
    pub socket_type: SocketType,
}

/// A privileged operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct OperationNeed {
    /// What was done.
    pub operation: PrivilegedOperation,
    /// What was passed, by the kernel's names for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Text>,
    /// What it was done to: of a mount, the place.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub object: Text,
    /// What it was done with: of a mount, what was mounted.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub source: Text,
    /// The type of the file system or key.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub type_name: Text,
}

impl AccessControl {
    /// Whether one of these operations was done.
    pub(crate) fn did(&self, operations: &[PrivilegedOperation]) -> bool {
        self.operations.iter().any(|one| operations.contains(&one.operation))
    }
}

/// The sections of a report that it is derived from, and the sensors behind them.
const SECTIONS: [&str; 3] = ["files", "network", "privileged"];

pub(crate) fn access_control(runs: &Runs<'_>, options: &Options) -> AccessControl {
    let mut collected = Collected::default();
    for run in &runs.own {
        collected.missing_of(run);
        collected.files_of(&run.behaviour.files, options.phases());
        collected.network_of(&run.behaviour.network, options.phases());
        for one in run.behaviour.privileged.operations.iter().filter(|one| options.phases().contains(&one.phase)) {
            collected.operation(one, run);
        }
    }
    if !runs.nested.is_empty() {
        collected.missing.insert("files and sockets of the containers inside of it are not in it".into());
    }
    collected.resolve_names();
    let files = collected.files.into_iter().map(|((path, any_below), mut file)| {
        (file.path, file.any_below) = (path, any_below);
        file
    });
    AccessControl {
        files: files.collect(),
        missing: collected.missing.into_iter().collect(),
        links: collected.links.into_iter().collect(),
        sockets: collected.sockets.into_iter().collect(),
        operations: collected.operations.into_iter().collect(),
    }
}

#[derive(Default)]
struct Collected {
    missing: BTreeSet<Text>,
    /// By path, and whether it stands for all below it.
    files: BTreeMap<(Text, bool), FileNeed>,
    links: BTreeSet<LinkNeed>,
    sockets: BTreeSet<SocketNeed>,
    operations: BTreeSet<OperationNeed>,
    /// Paths that the kernel resolved.
    opened: BTreeSet<Text>,
    /// Paths as they were passed, and what they led to, where that differs.
    resolved: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

impl Collected {
    fn missing_of(&mut self, run: &Report) {
        let concerns = |sensor: &Text| SECTIONS.iter().any(|name| sensor.as_bytes() == name.as_bytes());
        let reasons = run.reasons.iter().filter(|reason| reason.sensor.as_ref().is_none_or(concerns));
        let mut texts: Vec<String> = reasons.map(|reason| reason.text.shown().into_owned()).collect();
        for section in SECTIONS {
            let complete = run.sections.get(&Text::from(section)).copied().unwrap_or(run.complete);
            if !complete && texts.is_empty() {
                texts.push(format!("{section} may be missing in the report"));
            }
        }
        let files = &run.behaviour.files;
        if files.untold > 0 || files.unlisted_opens() > 0 || files.unlisted_names() > 0 {
            texts.push("some of the files that it used are not listed".to_owned());
        }
        if files.paths.iter().any(|path| path.path_truncated) || files.names.iter().any(|name| name.truncated) {
            texts.push("some of its paths are cut off".to_owned());
        }
        self.missing.extend(texts.iter().map(|text| Text::from(format!("{}: {text}", who(run)))));
    }

    fn files_of(&mut self, files: &Files, phases: &[Phase]) {
        for used in files.paths.iter().filter(|used| phases.contains(&used.phase)) {
            self.path(used);
        }
        for used in files.names.iter().filter(|used| phases.contains(&used.phase)) {
            self.name(used);
        }
        for used in files.directories.iter().filter(|used| phases.contains(&used.phase) && !used.path.is_empty()) {
            let file = self.file(&used.path, true);
            add(file, used.accesses, FileType::Regular);
        }
    }

    fn path(&mut self, used: &PathUse) {
        // What has no path of its own (a memfd, a file from outside) is not asked for by path.
        if used.unreachable || used.path_truncated || !used.path.as_bytes().starts_with(b"/") {
            return;
        }
        self.opened.insert(used.path.clone());
        let file = self.file(&used.path, false);
        add(file, used.accesses, used.file_type);
        // The kernel says of a file whose name is gone what the name was.
        file.named |= used.deleted;
        if !used.argument_truncated && !used.argument.is_empty() {
            self.learn_link(used.argument.as_bytes(), used.path.as_bytes());
        }
    }

    fn name(&mut self, used: &NameUse) {
        // What could not be opened is not needed, and what was refused stays so; what failed otherwise may succeed the next time.
        let is_refused = used.errno.is_some_and(|errno| matches!(errno.0, 1 | 13));
        if used.operation == NameOperation::Open
            || is_refused
            || used.truncated
            || !used.path.as_bytes().starts_with(b"/")
        {
            return;
        }
        match used.operation {
            NameOperation::Open => {}
            NameOperation::RunScript => {
                let file = self.file(&used.path, false);
                (file.read, file.execute) = (true, true);
            }
            NameOperation::ChangeMode | NameOperation::ChangeOwner | NameOperation::Truncate => {
                self.file(&used.path, false).write = true;
            }
            NameOperation::MakeDirectory => {
                let file = self.file(&used.path, false);
                (file.directory, file.named, file.write) = (true, true, true);
            }
            NameOperation::Delete | NameOperation::MakeNode => self.named(&used.path),
            NameOperation::Rename => {
                self.named(&used.path);
                self.named(&used.second_path);
                self.file(&used.path, false).read = true;
            }
            NameOperation::Symlink => self.named(&used.second_path),
            NameOperation::Link => {
                self.named(&used.second_path);
                self.links.insert(LinkNeed { path: used.second_path.clone(), target: used.path.clone() });
            }
        }
    }

    fn named(&mut self, path: &Text) {
        if path.as_bytes().starts_with(b"/") {
            let file = self.file(path, false);
            (file.named, file.write) = (true, true);
        }
    }

    fn network_of(&mut self, network: &Network, phases: &[Phase]) {
        let made = network.sockets.iter().filter(|made| made.errno.is_none() && phases.contains(&made.phase));
        self.sockets.extend(made.map(|made| SocketNeed { family: made.family, socket_type: made.socket_type }));
        for listener in network.listeners.iter().filter(|one| phases.contains(&one.phase) && one.protocol.is_unix()) {
            if listener.address.as_bytes().starts_with(b"/") {
                self.named(&listener.address);
                self.file(&listener.address, false).socket = true;
            }
        }
        for flow in network.flows.iter().filter(|one| phases.contains(&one.phase) && one.protocol.is_unix()) {
            let goes_out = flow.direction == Direction::Out && flow.connections > 0;
            if goes_out && flow.address.as_bytes().starts_with(b"/") {
                let file = self.file(&flow.address, false);
                (file.read, file.write, file.socket) = (true, true, true);
            }
        }
    }

    fn operation(&mut self, one: &OperationUse, run: &Report) {
        if one.others {
            let what = format!("{}: not every {} is listed", who(run), one.operation.name());
            self.missing.insert(what.into());
        }
        if one.outcome == Outcome::Allowed || one.operation == PrivilegedOperation::IoUringRequest {
            self.operations.insert(OperationNeed {
                operation: one.operation,
                details: one.details.clone(),
                object: one.object.clone(),
                source: one.source.clone(),
                type_name: one.type_name.clone(),
            });
        }
    }

    fn file(&mut self, path: &Text, any_below: bool) -> &mut FileNeed {
        let path = match path.as_bytes() {
            [b'/'] => path.clone(),
            bytes => Text::new(bytes.strip_suffix(b"/").unwrap_or(bytes)),
        };
        self.files.entry((path.clone(), any_below)).or_insert_with(|| FileNeed {
            path,
            any_below,
            directory: false,
            device: false,
            socket: false,
            read: false,
            write: false,
            named: false,
            execute: false,
            map: false,
        })
    }

    fn learn_link(&mut self, argument: &[u8], path: &[u8]) {
        let is_plain = |text: &[u8]| {
            text.starts_with(b"/") && !text.split(|&byte| byte == b'/').any(|part| matches!(part, b"." | b".."))
        };
        if argument != path && is_plain(argument) && is_plain(path) {
            self.resolved.insert((argument.to_vec(), path.to_vec()));
        }
    }

    /// Directories that are links, and where they lead: `/var/run/x/pid` that was opened as `/run/x/pid` says that `/var/run`
    /// leads to `/run`, or else `/var/run/x` to `/run/x`. It is the first of which no resolved path begins.
    fn links_to(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut links = BTreeMap::new();
        links.insert(b"/var/run".to_vec(), b"/run".to_vec());
        for (argument, path) in &self.resolved {
            let same = argument.iter().rev().zip(path.iter().rev()).take_while(|(one, other)| one == other).count();
            let tail = argument.len() - same;
            // Each place where a whole name begins, in what both have at their ends.
            let cuts = (tail..argument.len()).filter(|&at| argument[at] == b'/');
            let mut pairs = cuts.map(|at| (&argument[..at], &path[..path.len() - (argument.len() - at)]));
            let link = pairs.find(|(from, to)| !from.is_empty() && !to.is_empty() && !self.has_resolved_below(from));
            links.extend(link.map(|(from, to)| (from.to_vec(), to.to_vec())));
        }
        links
    }

    fn has_resolved_below(&self, folder: &[u8]) -> bool {
        let first = Text::new([folder, b"/"].concat());
        let mut below = self.opened.range(first.clone()..);
        below.next().is_some_and(|path| path.as_bytes().starts_with(first.as_bytes()))
    }

    /// Names are as programs passed them: behind a link they are needed where it leads, too.
    fn resolve_names(&mut self) {
        let resolved = |path: &Text, links: &BTreeMap<Vec<u8>, Vec<u8>>| {
            let bytes = path.as_bytes();
            // The longest directory that is known to be a link.
            let (from, to) = links
                .iter()
                .rev()
                .find(|(from, _)| bytes.strip_prefix(from.as_slice()).is_some_and(|rest| rest.starts_with(b"/")))?;
            Some(Text::new([to, &bytes[from.len()..]].concat()))
        };
        let links_to = self.links_to();
        let is_name = |file: &&FileNeed| (file.write || file.execute) && !self.opened.contains(&file.path);
        let named: Vec<FileNeed> = self.files.values().filter(is_name).cloned().collect();
        for file in named {
            if let Some(path) = resolved(&file.path, &links_to) {
                let there = self.file(&path, file.any_below);
                there.directory |= file.directory;
                there.socket |= file.socket;
                there.read |= file.read;
                there.write |= file.write;
                there.named |= file.named;
                there.execute |= file.execute;
            }
        }
        let links: Vec<LinkNeed> = self.links.iter().cloned().collect();
        for link in links {
            let path = resolved(&link.path, &links_to).unwrap_or_else(|| link.path.clone());
            let target = resolved(&link.target, &links_to).unwrap_or_else(|| link.target.clone());
            self.links.insert(LinkNeed { path, target });
        }
    }
}

fn add(file: &mut FileNeed, accesses: FileAccesses, file_type: FileType) {
    file.directory |= file_type == FileType::Directory;
    file.device |= matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice);
    file.read |= accesses.has_any(&[FileAccess::OpenedToRead, FileAccess::Read, FileAccess::Listed]);
    file.write |= accesses.has_any(&[
        FileAccess::OpenedToWrite,
        FileAccess::Written,
        FileAccess::Truncated,
        FileAccess::ModeChanged,
        FileAccess::OwnerChanged,
    ]);
    file.named |= accesses.has(FileAccess::Created);
    file.write |= accesses.has(FileAccess::Created);
    file.execute |= accesses.has(FileAccess::Executed);
    file.map |= accesses.has(FileAccess::MappedToExecute);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_a_link_is_learnt_from_what_was_opened_through_it() {
        let mut collected = Collected::default();
        collected.opened.insert("/usr/lib/libc.so.6".into());
        collected.learn_link(b"/srv/www/a/b.html", b"/data/www-3/a/b.html");
        collected.learn_link(b"/usr/lib/ssl/openssl.cnf", b"/etc/ssl/openssl.cnf");
        collected.learn_link(b"/a/../b", b"/b");
        for name in ["/srv/www/new", "/var/run/x.pid", "/srv/wwwx", "/usr/lib/new"] {
            collected.named(&name.into());
        }

        collected.resolve_names();

        let paths: Vec<String> = collected.files.keys().map(|(path, _)| path.shown().into_owned()).collect();
        let expected = [
            "/data/www-3/new",
            "/run/x.pid",
            "/srv/www/new",
            "/srv/wwwx",
            // It has resolved paths below, and is no link.
            "/usr/lib/new",
            "/var/run/x.pid",
        ];
        assert_eq!(paths, expected);
    }
}
