use event::{Exec, ProcessId, Text};
use proptest::prelude::*;

use super::{MAX_TEXT_BYTES, script};

fn exec(executable: &str, argv: &[&str]) -> Exec {
    Exec {
        executable: executable.into(),
        argument: executable.into(),
        interpreter: Text::default(),
        cwd: "/work".into(),
        argv: argv.iter().map(|&word| word.into()).collect(),
        argv_truncated: false,
        path_truncated: false,
        parent: ProcessId { pid: 1, start_ns: 1 },
        pid_inside: 2,
        uid: 0,
        gid: 0,
        uid_inside: None,
        gid_inside: None,
        user_namespace: 1,
        pid_namespace: 1,
        mount_namespace: 1,
    }
}

/// The path, or the text in quotation marks; empty if it runs none.
fn told(executable: &str, argv: &[&str]) -> String {
    match script(&exec(executable, argv)) {
        Some(script) if script.path.is_empty() => format!("'{}'", script.text),
        Some(script) => script.path.to_string(),
        None => String::new(),
    }
}

#[test]
fn a_script_that_is_executed_names_its_interpreter() {
    let mut started = exec("/bin/bash", &["/bin/bash", "./start.sh", "x"]);
    started.interpreter = "/bin/bash".into();
    started.argument = "./start.sh".into();

    let found = script(&started).expect("a script");

    assert_eq!((found.path, found.text), ("/work/start.sh".into(), Text::default()));
    // Its interpreter is told by what it starts.
    assert_eq!(script(&Exec { executable: "/usr/bin/env".into(), ..started }), None);
}

#[test]
fn the_text_of_a_shell_is_its_first_argument_that_is_no_option() {
    for (argv, expected) in [
        (&["sh", "-c", "echo a"][..], "'echo a'"),
        (&["sh", "-ec", "echo a", "name", "x"], "'echo a'"),
        (&["sh", "-c", "-e", "echo a"], "'echo a'"),
        (&["sh", "-o", "pipefail", "-c", "echo a"], "'echo a'"),
        (&["sh", "-c", "--", "-x"], "'-x'"),
        (&["-bash", "-lc", "echo a"], "'echo a'"),
        (&["bash", "--norc", "--rcfile", "/x", "-c", "echo a"], "'echo a'"),
        (&["sh", "+e", "run.sh", "-c", "x"], "/work/run.sh"),
        (&["sh", "/opt/run.sh"], "/opt/run.sh"),
        (&["sh", "-x", "--", "-odd"], "/work/-odd"),
        (&["sh", "-s", "an argument"], ""),
        (&["sh", "-c"], ""),
        (&["sh"], ""),
        (&["sh", "-i"], ""),
    ] {
        assert_eq!(told("/usr/bin/bash", argv), expected, "{argv:?}");
    }
}

#[test]
fn busybox_is_a_shell_if_it_is_called_as_one() {
    assert_eq!(told("/bin/busybox", &["sh", "-c", "true"]), "'true'");
    assert_eq!(told("/bin/busybox", &["/bin/ash", "-c", "true"]), "'true'");
    assert_eq!(told("/bin/busybox", &["busybox", "sh", "-c", "true"]), "'true'");
    assert_eq!(told("/bin/busybox", &["ls", "-c", "true"]), "");
    assert_eq!(told("/bin/busybox", &[]), "");
}

#[test]
fn other_interpreters_are_read_by_their_own_rules() {
    assert_eq!(told("/usr/bin/python3.11", &["python3", "-u", "-c", "print(1)", "-c", "x"]), "'print(1)'");
    assert_eq!(told("/usr/bin/python3.11", &["python3", "-Ic", "print(1)"]), "'print(1)'");
    assert_eq!(told("/usr/bin/python3.11", &["python3", "-W", "ignore", "app.py", "-c", "x"]), "/work/app.py");
    assert_eq!(told("/usr/bin/python3.11", &["python3", "-m", "http.server"]), "");
    assert_eq!(told("/usr/bin/python3.11", &["python3", "-"]), "");
    assert_eq!(told("/usr/bin/perl", &["perl", "-ne", "print", "file"]), "'print'");
    assert_eq!(told("/usr/bin/perl", &["perl", "-e", "a;", "-e", "b;"]), "'a;\\nb;'");
    assert_eq!(told("/usr/bin/perl", &["perl", "-Mstrict", "-I", "lib", "x.pl"]), "/work/x.pl");
    assert_eq!(told("/usr/bin/perl", &["perl", "-i.bak", "-pe", "s/a/b/", "f"]), "'s/a/b/'");
    assert_eq!(told("/usr/bin/ruby3.1", &["ruby", "-rjson", "-e", "p 1"]), "'p 1'");
    assert_eq!(told("/usr/bin/node", &["node", "--eval", "f()"]), "'f()'");
    assert_eq!(told("/usr/bin/node", &["node", "--require", "./x", "server.js"]), "/work/server.js");
    assert_eq!(told("/usr/bin/php8.2", &["php", "-r", "echo 1;"]), "'echo 1;'");
    assert_eq!(told("/usr/bin/lua5.4", &["lua", "-l", "x", "-e", "print(1)"]), "'print(1)'");
    assert_eq!(told("/usr/bin/cat", &["cat", "-c", "x"]), "");
}

#[test]
fn a_long_text_is_cut_and_says_so() {
    let long = "x".repeat(MAX_TEXT_BYTES + 1);

    let found = script(&exec("/bin/sh", &["sh", "-c", &long])).expect("a script");

    assert_eq!((found.text.as_bytes().len(), found.truncated), (MAX_TEXT_BYTES, true));
}

proptest! {
    #[test]
    fn no_arguments_make_it_panic(argv in prop::collection::vec("[-+a-zA-Z=./]{0,6}", 0..6)) {
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        for program in ["/bin/sh", "/usr/bin/python3", "/usr/bin/perl", "/bin/busybox", "/usr/bin/node", "/9", ""] {
            let _ = script(&exec(program, &argv));
        }
    }
}
