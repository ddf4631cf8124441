use std::collections::BTreeMap;
use std::path::Path;

use event::{FileAccess, FileAccesses, FileUses, Kept, NameOperation, PathId, Payload, Phase, Total};

use crate::testing::Bench;

/// A folder of its own, on the file system of the tree; it is gone with the value.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ringfence-files-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Folder(path)
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What came of a run in phase `main`: first uses by path, and what the kernel keeps.
struct Seen {
    files: BTreeMap<String, (PathId, FileAccesses)>,
    names: Vec<(NameOperation, String, String, Option<u16>, PathId)>,
    kept: Vec<Kept>,
}

impl Seen {
    fn of(bench: &Bench) -> Seen {
        let mut files = BTreeMap::new();
        let mut names = Vec::new();
        for event in bench.events() {
            if event.phase == Phase::RuntimeInit {
                continue;
            }
            match event.payload {
                Payload::File(file) => {
                    files.insert(file.path.to_string(), (file.file, file.accesses));
                }
                Payload::Name(name) => names.push((
                    name.operation,
                    name.path.to_string(),
                    name.second_path.to_string(),
                    name.errno.map(|errno| errno.0),
                    name.name,
                )),
                _ => {}
            }
        }
        let kept = bench.kernel.read_sets(&[bench.run]).expect("the sets can be read").remove(&bench.run);
        Seen { files, names, kept: kept.unwrap_or_default() }
    }

    fn uses(&self, path: &str) -> &FileUses {
        let (id, _) = self.files.get(path).unwrap_or_else(|| panic!("{path} is not among {:?}", self.files.keys()));
        let found = self.kept.iter().find_map(|kept| match &kept.total {
            Total::File(uses) if uses.file == *id && kept.phase == Phase::Main => Some(uses),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{path} is in no set"))
    }

    fn has_name(&self, operation: NameOperation, path: &str, second: &str, errno: Option<u16>) -> bool {
        self.names.iter().any(|name| (name.0, name.1.as_str(), name.2.as_str(), name.3) == (operation, path, second, errno))
    }
}

fn sh(bench: &Bench, script: &str) {
    assert!(bench.run("/bin/sh", &["-c", script]).success(), "{script}");
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_file_is_told_once_and_its_opens_are_counted() {
    let (bench, folder) = (Bench::new(), Folder::new("opens"));
    let file = folder.at("a");

    sh(&bench, &format!("echo hello >{file}; for i in 1 2 3 4 5 6 7 8 9 10; do read x <{file}; done"));
    let seen = Seen::of(&bench);

    let uses = seen.uses(&file);
    assert_eq!(uses.opens, 11);
    assert_eq!(
        uses.accesses.iter().collect::<Vec<_>>(),
        [
            FileAccess::OpenedToRead,
            FileAccess::OpenedToWrite,
            FileAccess::Created,
            FileAccess::Read,
            FileAccess::Written
        ]
    );
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn links_and_dots_are_resolved_and_the_argument_is_kept() {
    let (bench, folder) = (Bench::new(), Folder::new("links"));
    std::fs::write(folder.at("real"), "x").expect("a file");
    std::os::unix::fs::symlink("real", folder.at("link")).expect("a link");

    sh(&bench, &format!("cd {}; read x <./../{}/link || :", folder.at(""), Path::new(&folder.at("")).file_name().unwrap().to_str().unwrap()));
    let events = bench.events();
    let found: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.payload {
            Payload::File(file) if file.path.to_string() == folder.at("real") => Some(file.argument.to_string()),
            _ => None,
        })
        .collect();

    assert_eq!(found, [format!("./../{}/link", Path::new(&folder.at("")).file_name().unwrap().to_str().unwrap())]);
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn programs_their_loader_and_libraries_are_executed() {
    let bench = Bench::new();

    bench.run("/bin/true", &[]);
    let seen = Seen::of(&bench);

    let true_path = std::fs::canonicalize("/bin/true").unwrap().to_str().unwrap().to_owned();
    assert!(seen.uses(&true_path).accesses.has(FileAccess::Executed));
    let loaders: Vec<_> = seen.files.keys().filter(|path| path.contains("/ld-linux-")).collect();
    assert_eq!(loaders.len(), 1, "{:?}", seen.files.keys());
    assert!(seen.uses(loaders[0]).accesses.has(FileAccess::Executed));
    let libc = seen.files.keys().find(|path| path.contains("/libc.so")).expect("it is dynamic");
    assert!(seen.uses(libc).accesses.has(FileAccess::MappedToExecute));
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn what_is_done_to_names_is_told_and_counted() {
    let (bench, folder) = (Bench::new(), Folder::new("names"));
    let at = |name: &str| folder.at(name);

    sh(
        &bench,
        &format!(
            "cd {}; mkdir d; echo x >d/a; mv d/a d/b; ln d/b d/c; ln -s nowhere d/s; chmod 600 d/b; rm d/b d/c d/s; rmdir d; \
             for i in 1 2 3; do read x <missing || :; done 2>/dev/null; read x </nowhere/x || :",
            folder.0.display()
        ),
    );
    let seen = Seen::of(&bench);

    for (operation, path, second, errno) in [
        (NameOperation::MakeDirectory, at("d"), String::new(), None),
        (NameOperation::Rename, at("d/a"), at("d/b"), None),
        (NameOperation::Link, at("d/b"), at("d/c"), None),
        (NameOperation::Symlink, "nowhere".into(), at("d/s"), None),
        (NameOperation::ChangeMode, at("d/b"), String::new(), None),
        (NameOperation::Delete, at("d/b"), String::new(), None),
        (NameOperation::Delete, at("d"), String::new(), None),
        (NameOperation::Open, at("missing"), String::new(), Some(2)),
        (NameOperation::Open, "/nowhere/x".into(), String::new(), Some(2)),
    ] {
        assert!(seen.has_name(operation, &path, &second, errno), "{operation:?} {path} {second} is not among {:?}", seen.names);
    }
    let missing = seen.names.iter().find(|name| name.1 == at("missing")).expect("as above").4;
    let counted = seen.kept.iter().find_map(|kept| match &kept.total {
        Total::Name(uses) if uses.name == missing => Some(uses.count),
        _ => None,
    });
    assert_eq!(counted, Some(3));
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_file_that_is_emptied_is_truncated() {
    let (bench, folder) = (Bench::new(), Folder::new("truncated"));
    let file = folder.at("a");
    std::fs::write(&file, "full").expect("a file");

    sh(&bench, &format!(": >{file}"));
    let seen = Seen::of(&bench);

    assert_eq!(
        seen.uses(&file).accesses.iter().collect::<Vec<_>>(),
        [FileAccess::OpenedToWrite, FileAccess::Truncated]
    );
}
