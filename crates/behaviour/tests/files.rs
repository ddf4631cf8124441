//! Files: what is told once and counted again and again becomes lists, within limits.

mod support;

use behaviour::{Builder, Files, Limits};
use event::{
    Device, DirectoryUses, Errno, FileAccess, FileType, FileUsed, FileUses, Kept, NameOperation, NameUsed, NameUses,
    PathId, Payload, Phase, RunId, Text, Total,
};
use proptest::prelude::*;
use support::{event, exec, image, process};

fn used(path: &str, file: u64) -> Payload {
    Payload::File(FileUsed {
        path: path.into(),
        argument: Text::default(),
        accesses: [FileAccess::OpenedToRead].into_iter().collect(),
        file: PathId(file),
        file_type: FileType::Regular,
        device: Device { major: 8, minor: 1 },
        inode: 7,
        inode_generation: 0,
        mount: 30,
        path_truncated: false,
        argument_truncated: false,
        deleted: false,
        unreachable: false,
    })
}

fn name(path: &str, number: u64) -> Payload {
    Payload::Name(NameUsed {
        operation: NameOperation::Open,
        path: path.into(),
        second_path: Text::default(),
        errno: Some(Errno(2)),
        name: PathId(number),
        truncated: false,
    })
}

fn kept(total: Total) -> Kept {
    Kept { run: RunId { slot: 1, generation: 0 }, phase: Phase::Main, total }
}

fn opens(file: u64, opens: u64) -> Kept {
    let accesses = [FileAccess::OpenedToRead, FileAccess::Read].into_iter().collect();
    kept(Total::File(FileUses { file: PathId(file), opens, read_bytes: 0, written_bytes: 0, accesses }))
}

fn names(number: u64, count: u64) -> Kept {
    kept(Total::Name(NameUses { name: PathId(number), operation: NameOperation::Open, errno: Some(Errno(2)), count }))
}

#[test]
fn a_path_has_its_newest_count_and_who_used_it_first() {
    let mut builder = Builder::new(Limits::default());
    builder.observe(&exec(1, image(1, 4), "/bin/cat", process(9)));
    builder.observe(&event(5, image(1, 4), used("/etc/passwd", 77)));
    builder.keep(&opens(77, 3), 10);
    builder.keep(&opens(77, 9), 20);
    builder.keep(&opens(77, 9), 30);

    let files = builder.freeze().files;

    let path = &files.paths[0];
    assert_eq!((path.path.to_string(), path.opens, path.last_boot_ns), ("/etc/passwd".into(), 9, 20));
    assert!(path.accesses.has(FileAccess::Read));
    let first = path.first.as_ref().expect("a first use");
    assert_eq!((first.boot_ns, first.executable.to_string()), (5, "/bin/cat".into()));
    assert_eq!(files.untold, 0);
}

#[test]
fn the_same_path_under_two_numbers_is_one() {
    let mut builder = Builder::new(Limits::default());
    builder.observe(&event(6, image(1, 4), used("/a", 2)));
    builder.observe(&event(5, image(1, 4), used("/a", 1)));
    builder.keep(&opens(1, 3), 10);
    builder.keep(&opens(2, 4), 10);

    let files = builder.freeze().files;

    assert_eq!((files.paths.len(), files.paths[0].opens), (1, 7));
    assert_eq!(files.paths[0].first.as_ref().map(|first| first.boot_ns), Some(5));
}

#[test]
fn what_was_counted_and_never_told_is_a_loss() {
    let mut builder = Builder::new(Limits::default());
    builder.keep(&opens(1, 3), 10);
    builder.keep(&names(2, 5), 10);

    assert_eq!(builder.freeze().files.untold, 2);
}

#[test]
fn texts_beyond_the_limit_are_counted_together() {
    let mut builder = Builder::new(Limits { file_text_bytes: 10, ..Limits::default() });
    builder.observe(&event(1, image(1, 4), used("/fits", 1)));
    for (file, path) in [(2, "/does-not"), (3, "/nor-this")] {
        builder.observe(&event(2, image(1, 4), used(path, file)));
        builder.keep(&opens(file, 10), 10);
    }
    builder.observe(&event(3, image(1, 4), name("/neither", 4)));
    builder.keep(&names(4, 6), 10);

    let files = builder.freeze().files;

    assert_eq!(files.paths.len(), 1);
    assert_eq!((files.directories[0].opens, files.directories[0].distinct), (20, 2));
    assert!(files.directories[0].path.is_empty());
    assert_eq!((files.unlisted_names(), files.untold), (6, 0));
}

#[test]
fn names_and_directories_without_room_in_the_kernel_are_no_loss() {
    let mut builder = Builder::new(Limits::default());
    builder.keep(&names(0, 1_000), 10);
    let uses = DirectoryUses { directory: PathId(0), opens: 5, distinct: 4, accesses: Default::default() };
    builder.keep(&kept(Total::Directory(uses)), 10);

    let files = builder.freeze().files;

    assert_eq!((files.unlisted_names(), files.untold), (1_000, 0));
    assert_eq!((files.directories[0].opens, files.directories[0].distinct), (5, 4));
}

/// Files as they come about: paths and names of a small alphabet, so that runs share some.
fn any_files() -> impl Strategy<Value = Files> {
    let path = ("/[ab]{1,2}", 0..4_u64, 0..5_u64, 0..5_u64);
    (prop::collection::vec(path.clone(), 0..6), prop::collection::vec(path, 0..6)).prop_map(|(paths, all_names)| {
        let mut builder = Builder::new(Limits::default());
        for (path, number, at, count) in paths {
            builder.observe(&event(at, image(1, 4), used(&path, number)));
            builder.keep(&opens(number, count), at + count);
        }
        for (path, number, at, count) in all_names {
            builder.observe(&event(at, image(1, 4), name(&path, number)));
            builder.keep(&names(number, count), at + count);
        }
        builder.freeze().files
    })
}

proptest! {
    #[test]
    fn the_order_of_merges_makes_no_difference(one in any_files(), two in any_files(), three in any_files()) {
        prop_assert_eq!(one.clone().merge(two.clone()), two.clone().merge(one.clone()));
        prop_assert_eq!(
            one.clone().merge(two.clone()).merge(three.clone()),
            one.clone().merge(two.merge(three))
        );
        prop_assert_eq!(one.clone().merge(Files::default()), one);
    }

    #[test]
    fn files_survive_json(files in any_files()) {
        let json = serde_json::to_string(&files).expect("json");
        prop_assert_eq!(serde_json::from_str::<Files>(&json).expect("its own form"), files);
    }
}
