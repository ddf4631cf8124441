//! What of its image a container did not touch.

mod fixtures;

use std::collections::HashSet;

use event::{Errno, Outcome, Phase, PrivilegedOperation, Text};
use proptest::prelude::*;
use report::{Image, ImageFile, ImagePlace, Report, Untouched};

fn docker() -> Report {
    fixtures::all().swap_remove(0).1
}

/// A report of a container that did nothing that makes its paths doubtful.
fn plain() -> Report {
    let mut report = docker();
    report.behaviour.privileged.operations.clear();
    report
}

fn image(files: &[(&str, u64)]) -> Image {
    let file = |&(path, bytes): &(&str, u64)| ImageFile { path: path.into(), bytes, shared: None };
    Image { files: files.iter().map(file).collect(), ..Image::default() }
}

fn parts(untouched: &Untouched) -> Vec<String> {
    let one = |part: &report::UntouchedPart| {
        let slash = if part.is_directory && part.path.as_bytes() != b"/" { "/" } else { "" };
        format!("{}{slash} {} {}", part.path.shown(), part.files, part.bytes)
    };
    untouched.parts.iter().map(one).collect()
}

#[test]
fn a_directory_of_which_nothing_was_touched_is_one_part() {
    // The report has /etc/nginx/nginx.conf, /etc/shadow, /usr/lib/libc.so.6 and /usr/sbin/nginx.
    let image = image(&[
        ("/etc/nginx/nginx.conf", 10),
        ("/etc/nginx/mime.types", 20),
        ("/etc/shadow", 30),
        ("/usr/share/doc/a/copyright", 100),
        ("/usr/share/doc/b/copyright", 200),
        ("/usr/share/man/man1/ls.1", 400),
        ("/usr/lib/libc.so.6", 50),
        ("/usr/sbin/nginx", 60),
        ("/opt/x", 1),
    ]);

    let untouched = plain().untouched(&image).expect("it can be told");

    assert_eq!(parts(&untouched), ["/usr/share/ 3 700", "/etc/nginx/mime.types 1 20", "/opt/ 1 1"]);
    assert_eq!((untouched.files, untouched.bytes), (9, 871));
    assert_eq!((untouched.untouched_files(), untouched.untouched_bytes()), (5, 721));
}

#[test]
fn a_name_that_something_was_done_to_is_touched_by_whatever_links_lead_there() {
    let mut report = plain();
    let mut used = report.behaviour.files.names[1].clone();
    assert_eq!(used.errno, None, "a delete that succeeded");
    used.path = Text::from("/lib/../bin/./tool");
    report.behaviour.files.names.push(used.clone());
    used.path = Text::from("/bin/failed");
    used.errno = Some(Errno(13));
    report.behaviour.files.names.push(used);
    let mut image = image(&[("/usr/bin/tool", 1), ("/usr/bin/failed", 1)]);
    image.links.insert(b"/bin".to_vec(), b"usr/bin".to_vec());
    image.links.insert(b"/lib".to_vec(), b"/usr/lib".to_vec());

    // `..` is that of where the link leads: /usr/bin.
    assert_eq!(parts(&report.untouched(&image).expect("it can be told")), ["/usr/bin/failed 1 1"]);

    // A link round in a circle ends.
    image.links.insert(b"/lib".to_vec(), b"/lib".to_vec());
    assert_eq!(parts(&report.untouched(&image).expect("it can be told")), ["/ 2 2"]);
}

#[test]
fn a_file_with_several_names_is_touched_by_any_of_them_and_counts_once() {
    let mut image = image(&[("/usr/sbin/nginx", 60), ("/opt/nginx", 60), ("/opt/a", 7), ("/srv/b", 7)]);
    for (file, number) in image.files.iter_mut().zip([4, 4, 5, 5]) {
        file.shared = Some(number);
    }

    let untouched = plain().untouched(&image).expect("it can be told");

    assert_eq!(untouched.bytes, 67);
    assert_eq!(parts(&untouched), ["/opt/a 1 7", "/srv/ 1 0"]);
}

#[test]
fn nothing_is_said_that_may_be_wrong() {
    let said = |change: &dyn Fn(&mut Report)| {
        let mut report = plain();
        change(&mut report);
        report.untouched(&Image::default()).expect_err("it cannot be told").to_string()
    };

    for section in ["files", "privileged"] {
        let text = said(&|report| {
            report.sections.insert(Text::from(section), false);
        });
        assert!(text.starts_with(&format!("the section `{section}` of the report is not complete")), "{text}");
    }
    let chroot = |phase| {
        let mut chroot = docker().behaviour.privileged.operations[0].clone();
        (chroot.operation, chroot.outcome, chroot.phase) = (PrivilegedOperation::Chroot, Outcome::Allowed, phase);
        chroot
    };
    let text = said(&|report| report.behaviour.privileged.operations.push(chroot(Phase::Exec)));
    assert!(text.starts_with("a program of the container called chroot:"), "{text}");
    let mut report = plain();
    report.behaviour.privileged.operations.push(chroot(Phase::RuntimeInit));
    assert!(report.untouched(&Image::default()).is_ok(), "that was the runtime");
}

#[test]
fn the_image_is_in_its_layers_or_in_the_directory_that_is_the_root() {
    let mut report = docker();
    // An overlay without its layers: the directory that it was seen at is empty when the container is gone.
    assert_eq!(report.image_place(), None);

    let root = report.behaviour.files.mounts.iter_mut().find(|it| it.point.as_bytes() == b"/").expect("a root");
    root.layers = vec![Text::from("/l/A"), Text::from("/l/B")];
    assert_eq!(report.image_place(), Some(ImagePlace::Layers(vec![Text::from("/l/A"), Text::from("/l/B")])));

    let root = report.behaviour.files.mounts.iter_mut().find(|it| it.point.as_bytes() == b"/").expect("a root");
    (root.layers, root.fs_type, root.host_path) = (Vec::new(), Text::from("ext4"), Some(Text::from("/srv/root")));
    assert_eq!(report.image_place(), Some(ImagePlace::Directory(Text::from("/srv/root"))));
}

proptest! {
    /// Every file that was not touched is in one part, and no part has one that was.
    #[test]
    fn parts_are_what_was_not_touched(
        paths in proptest::collection::hash_set("(/[ab]{1,2}){1,4}/f", 0..40),
        touched in proptest::collection::vec(any::<bool>(), 40),
    ) {
        let mut report = plain();
        let example = report.behaviour.files.paths[1].clone();
        report.behaviour.files.names.clear();
        let paths: Vec<String> = paths.into_iter().collect();
        let used: HashSet<&String> = paths.iter().zip(&touched).filter_map(|(path, yes)| yes.then_some(path)).collect();
        report.behaviour.files.paths =
            used.iter().map(|path| behaviour::PathUse { path: Text::from(path.as_str()), ..example.clone() }).collect();
        let image = image(&paths.iter().map(|path| (path.as_str(), 1)).collect::<Vec<_>>());

        let untouched = report.untouched(&image).expect("it can be told");

        let mut seen = HashSet::new();
        for part in &untouched.parts {
            let name = part.path.shown().into_owned();
            let below = format!("{}/", name.trim_end_matches('/'));
            let of_part: Vec<&String> =
                paths.iter().filter(|path| if part.is_directory { path.starts_with(&below) } else { **path == name }).collect();
            prop_assert_eq!(of_part.len() as u64, part.files);
            prop_assert_eq!(part.bytes, part.files);
            for path in of_part {
                prop_assert!(!used.contains(path) && seen.insert(path));
            }
        }
        prop_assert_eq!(seen.len() + used.len(), paths.len());
    }
}
