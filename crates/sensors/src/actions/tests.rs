use std::collections::BTreeMap;

use event::{Action, FileType, ImageFacts, Payload, Phase, SyscallNames};

use crate::testing::Bench;
use crate::{ActionCall, ActionCalls};

/// A bench that looks at these calls, also if they fail.
fn bench(as_old_kernel: bool, calls: &[&str]) -> Bench {
    Bench::with(|options| {
        options.as_old_kernel = as_old_kernel;
        let call = |name: &&str| ActionCall { name: (*name).to_owned(), also_failed: true };
        options.actions = Some(ActionCalls { calls: calls.iter().map(call).collect(), environment: true });
    })
}

/// What was told of `main`: each action behind its name, and each image behind the arguments of its exec.
#[derive(Default)]
struct Told {
    actions: Vec<(String, Action)>,
    images: BTreeMap<String, ImageFacts>,
}

fn told(bench: &Bench) -> Told {
    let mut told = Told::default();
    let mut image = None;
    for event in bench.events() {
        match event.payload {
            Payload::Action(action) if event.phase == Phase::Main => {
                told.actions.push((SyscallNames::builtin().name(action.syscall).into_owned(), action));
            }
            Payload::Image(facts) => image = Some((event.task.image, facts)),
            Payload::Exec(exec) => {
                let (id, facts) = image.take().expect("what an image is comes before its exec");
                assert_eq!(id, event.task.image);
                told.images.insert(exec.argv.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), facts);
            }
            _ => {}
        }
    }
    told
}

fn python(bench: &Bench, program: &str) {
    assert!(bench.run("/usr/bin/python3", &["-ISc", program]).success(), "{program}");
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn of_what_is_alike_the_first_is_told_and_after_an_exec_again() {
    for as_old_kernel in [false, true] {
        let bench = bench(as_old_kernel, &["open", "openat"]);
        let once = "import os\nfor i in range(3):\n os.close(os.open('/etc/passwd', 0)); os.close(os.open('/etc/../etc/passwd', 0))\n";
        let flags = "os.close(os.open('/etc/passwd', os.O_PATH))\n";
        let miss = "for i in range(3):\n try: os.open('/nowhere', 0)\n except OSError: pass\n";
        let again = "os.execv('/usr/bin/python3', ['python3', '-ISc', 'import os; os.open(\"/etc/passwd\", 0)'])";
        python(&bench, &format!("{once}{flags}{miss}{again}"));

        let opens: Vec<_> = told(&bench)
            .actions
            .into_iter()
            .filter(|(_, it)| it.path.to_string().ends_with("/passwd") || it.path == "/nowhere".into())
            .map(|(name, it)| (name, it.path.to_string(), it.file.map(|file| file.path.to_string()), it.result.signum(), it.open_flags))
            .collect();
        let open = |path: &str, flags: u32| {
            ("openat".to_owned(), path.to_owned(), Some("/etc/passwd".to_owned()), 1, Some(flags | 0o2_000_000))
        };
        let missed = ("openat".to_owned(), "/nowhere".to_owned(), None, -1, Some(0o2_000_000));
        assert_eq!(
            opens,
            [open("/etc/passwd", 0), open("/etc/../etc/passwd", 0), open("/etc/passwd", 0o10_000_000), missed, open("/etc/passwd", 0)]
        );
    }
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_file_that_moves_under_the_same_name_is_told_again() {
    let bench = bench(false, &["openat", "renameat", "rename"]);
    let program = "import os, tempfile\nd = tempfile.mkdtemp()\nos.chdir(d)\nos.mkdir('a')\nos.chdir('a')\n\
                   os.close(os.open('f', os.O_CREAT | os.O_RDWR))\nos.close(os.open('f', os.O_RDWR))\n\
                   os.rename(d + '/a', d + '/b')\nos.close(os.open('f', os.O_RDWR))\n\
                   os.unlink('f')\nos.rmdir(d + '/b')\nos.rmdir(d)";
    python(&bench, program);

    let actions = told(&bench).actions;
    let paths: Vec<_> = actions
        .iter()
        .filter(|(_, it)| it.path == "f".into() && it.open_flags.is_some_and(|flags| flags & 0o100 == 0))
        .map(|(_, it)| {
            let path = it.file.as_ref().expect("a file").path.to_string();
            assert_eq!(format!("{}/f", it.directory), path);
            path.rsplit('/').nth(1).expect("a directory").to_owned()
        })
        .collect();
    assert_eq!(paths, ["a", "b"]);
    let (_, moved) = actions.iter().find(|(name, _)| name == "rename").expect("a rename");
    assert!(moved.path.to_string().ends_with("/a") && moved.second_path.to_string().ends_with("/b"), "{moved:?}");
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn sockets_are_told_with_their_ends_and_what_became_of_standard_descriptors() {
    for as_old_kernel in [false, true] {
        let bench = bench(as_old_kernel, &["connect", "accept4", "bind", "listen", "dup2", "sendto", "recvfrom"]);
        let program = "import os, socket\n\
            l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen(); port = l.getsockname()\n\
            for i in range(3):\n c = socket.socket(); c.connect(port); s, _ = l.accept(); c.send(b'x'); s.recv(1)\n \
            if i < 2: c.close(); s.close()\n\
            n = socket.socket(); n.setblocking(False); n.connect_ex(port)\n\
            l.close(); r = socket.socket(); r.connect_ex(port)\n\
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b'x', ('127.0.0.1', 9))\n\
            os.dup2(c.fileno(), 0)\n\
            os.execv('/bin/true', ['true'])";
        python(&bench, program);

        let told = told(&bench);
        let of = |name: &str| told.actions.iter().filter(|(it, _)| it == name).map(|(_, it)| it).collect::<Vec<_>>();
        let connects: Vec<_> = of("connect")
            .iter()
            .filter(|it| it.address.as_ref().is_some_and(|address| address.address == "127.0.0.1".into()))
            .map(|it| it.result)
            .collect();
        assert_eq!(connects, [0, -115, -111], "three alike, one that is being made, and one that was refused");
        let socket = |action: &Action| action.file.clone().expect("a file").socket.expect("a socket");
        let made = socket(of("connect")[0]);
        let port = made.remote.clone().expect("a peer").port;
        assert_eq!(made.remote.expect("a peer").address, "127.0.0.1".into());
        assert!(made.local.expect("an own end").port > 0);
        assert_eq!(of("connect")[0].address.as_ref().expect("an address").port, port);
        assert_eq!(of("accept4").len(), 1, "of those from one address the first");
        assert_eq!(socket(of("accept4")[0]).local.expect("an own end").port, port);
        assert_eq!(socket(of("accept4")[0]).direction, Some(event::Direction::In));
        assert_eq!(socket(of("listen")[0]).local.expect("an own end").port, port);
        let sent: Vec<_> = of("sendto").iter().map(|it| it.address.clone().map(|address| address.port)).collect();
        assert_eq!(sent, [None, Some(9)]);
        let onto_input = of("dup2").into_iter().find(|it| it.result == 0).expect("a dup2 onto 0");
        assert_eq!(socket(onto_input).remote.expect("a peer").port, port);
        let standard = &told.images["true"].standard;
        assert_eq!((standard[0].number, standard[0].file_type), (0, FileType::Socket));
        assert_eq!(standard[0].family.map(|family| family.0), Some(2));
    }
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn an_image_says_where_it_comes_from() {
    for as_old_kernel in [false, true] {
        let bench = bench(as_old_kernel, &[]);
        let memory = "import os; f = os.memfd_create('x', 0); os.write(f, open('/bin/true', 'rb').read()); \
                      os.execve('/proc/self/fd/%d' % f, ['from-memory'], {'A': '1', 'B': ''})";
        python(&bench, memory);
        let gone = "import os, shutil, tempfile; d = tempfile.mkdtemp(); p = d + '/x'; shutil.copy('/bin/true', p); \
                    f = os.open(p, os.O_RDONLY); os.unlink(p); os.rmdir(d); os.execve('/proc/self/fd/%d' % f, ['gone'], {})";
        python(&bench, gone);
        bench.run("/bin/true", &["plain"]);

        let images = told(&bench).images;
        let flags = |name: &str| (images[name].from_memory, images[name].deleted);
        assert_eq!(flags("from-memory"), (true, false));
        assert_eq!(flags("gone"), (false, true));
        assert_eq!(flags("/bin/true plain"), (false, false));
        assert_eq!(images["from-memory"].environment, ["A=1".into(), "B=".into()]);
        let plain = &images["/bin/true plain"];
        let file = std::fs::metadata("/bin/true").expect("a file");
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(plain.inode, file.ino());
        let ns = |seconds: i64, rest: i64| u64::try_from(seconds * 1_000_000_000 + rest).expect("since 1970");
        assert_eq!(plain.changed_ns, ns(file.ctime(), file.ctime_nsec()));
        assert_eq!(plain.modified_ns, ns(file.mtime(), file.mtime_nsec()));
        assert_eq!((plain.rights.ids.euid, plain.rights.permitted), (0, own_permitted()));
        let own = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).expect("own proc");
        let login: u32 = own("loginuid").trim().parse().expect("a number");
        assert_eq!(plain.login_uid, (login != u32::MAX).then_some(login));
        // After the parenthesis: state, parent, group, session.
        let stat = own("stat");
        let fields: Vec<u32> = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(2).take(2).map(|it| it.parse().unwrap()).collect();
        assert_eq!((plain.process_group, plain.session), (fields[0], fields[1]));
        assert_eq!(plain.process_group_outside, fields[0]);
    }
}

fn own_permitted() -> event::CapabilitySet {
    let status = std::fs::read_to_string("/proc/self/status").expect("own status");
    event::CapabilitySet::from_status(&status, "CapPrm").expect("a set")
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn only_what_was_asked_for_is_told() {
    let bench = Bench::with(|options| {
        let call = |name: &str, also_failed| ActionCall { name: name.to_owned(), also_failed };
        options.actions = Some(ActionCalls { calls: vec![call("mkdir", false), call("rmdir", true)], environment: false });
    });
    python(&bench, "import os\nfor f in os.mkdir, os.rmdir, os.unlink:\n try: f('/nowhere/x')\n except OSError: pass");

    let told = told(&bench);
    assert_eq!(told.actions.iter().map(|(name, it)| (name.as_str(), it.result)).collect::<Vec<_>>(), [("rmdir", -2)]);
    assert!(told.images.values().all(|image| image.environment.is_empty()));

    drop(bench);
    let bench = Bench::new();
    bench.run("/bin/true", &[]);
    let is_ours = |payload: &Payload| matches!(payload, Payload::Action(_) | Payload::Image(_));
    assert!(!bench.payloads().iter().any(is_ours));
    assert!(!bench.kernel.sensors().contains(&"actions"));
    assert!(!bench.kernel.programs().iter().any(|program| program.sensor == "actions"));
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_storm_takes_no_room_and_what_finds_none_is_counted_and_told_later() {
    let bench = Bench::with(|options| {
        options.ring_bytes = 4096 * 16;
        let call = ActionCall { name: "unlink".to_owned(), also_failed: true };
        options.actions = Some(ActionCalls { calls: vec![call], environment: false });
    });
    let unlink = "def u(n):\n try: os.unlink(n)\n except OSError: pass\n";
    python(&bench, &format!("import os\n{unlink}for i in range(100000): u('/nowhere/x')\nfor i in range(1000): u('/nowhere/%d' % i)"));

    let actions = told(&bench).actions;
    let lost = bench.kernel.slot(bench.run).expect("a slot").losses.samples;
    let number = crate::sensor_names().position(|name| name == "actions").expect("a sensor");
    assert_eq!(actions.iter().filter(|(_, it)| it.path == "/nowhere/x".into()).count(), 1);
    assert!(lost[number] > 0 && actions.len() as u64 + lost[number] == 1001, "{} told, {} lost", actions.len(), lost[number]);
}
