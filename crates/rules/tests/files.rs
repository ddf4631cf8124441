//! What rule files mean, and what is said of wrong ones.

mod support;

use std::path::Path;

use event::is_unsafe_on_a_terminal;
use proptest::prelude::*;
use rules::{Options, Priority, Problem, RuleCheck, RuleSet, Severity, Status};
use support::{Scene, public, rules};

/// A rule with this condition.
fn rule(name: &str, condition: &str) -> String {
    format!("- rule: {name}\n  desc: d\n  condition: {condition}\n  output: o\n  priority: info\n")
}

fn load(text: &str) -> (RuleSet, Vec<Problem>) {
    RuleSet::load(&[("a.yaml".into(), text.into())], &Options::default())
}

/// Whether a rule of these files holds of a program that begins.
fn holds(text: &str, words: &str) -> bool {
    Scene::exec(words).matching(&rules(text)) == ["r"]
}

#[test]
fn macros_and_lists_are_put_in() {
    let text = "- list: inner\n  items: [sh, '\"b c\"', ash]\n- list: outer\n  items: [inner, zsh]\n\
                - macro: shell\n  condition: (proc.name in (outer, csh))\n- macro: spawned\n  condition: evt.type = execve\n";
    let text = format!("{text}{}", rule("r", "spawned and shell"));

    for (words, expected) in [("sh", true), ("csh -c x", true), ("zsh", true), ("inner", false), ("bash", false)] {
        assert_eq!(holds(&text, words), expected, "{words}");
    }
}

#[test]
fn a_list_that_comes_later_is_a_word_for_one_before_and_a_list_for_every_condition() {
    let before = "- list: a\n  items: [b]\n";
    let after = "- list: b\n  items: [sh]\n";

    assert!(holds(&format!("{before}{after}{}", rule("r", "evt.type=execve and proc.name in (a)")), "b"));
    assert!(holds(&format!("{after}{before}{}", rule("r", "evt.type=execve and proc.name in (a)")), "sh"));
    assert!(holds(&format!("{}{after}", rule("r", "evt.type=execve and proc.name in (b)")), "sh"));
    // What is changed later has seen more.
    let changed = format!("{before}{after}- list: a\n  items: [b]\n  override: {{items: append}}\n");
    assert!(holds(&format!("{changed}{}", rule("r", "evt.type=execve and proc.name in (a)")), "sh"));
}

#[test]
fn a_macro_sees_those_before_it_and_a_rule_sees_all() {
    let (late, early) = ("- macro: late\n  condition: proc.name = sh\n", "- macro: early\n  condition: late\n");

    assert!(holds(&format!("{}{late}{early}", rule("r", "evt.type=execve and early")), "sh"));
    let (_, problems) = load(&format!("{early}{late}{}", rule("r", "evt.type=execve and early")));
    assert_eq!(
        problems[0].to_string(),
        "a.yaml:2:14: error: rule r (macro early): the macro late is defined after this one, which cannot use it\n    \
         condition: late\n               ^^^^"
    );
}

#[test]
fn what_is_defined_again_takes_the_place_of_the_first() {
    let text = format!(
        "{}{}{}- macro: m\n  condition: proc.name = a\n- macro: m\n  condition: proc.name = sh\n",
        rule("first", "evt.type = execve and proc.name = a"),
        rule("r", "evt.type = execve and m"),
        rule("first", "evt.type = execve and proc.name = sh")
    );

    assert_eq!(Scene::exec("sh").matching(&rules(&text)), ["first", "r"]);
}

#[test]
fn what_is_appended_is_appended_as_text() {
    let text = rule("r", "evt.type = execve and proc.name = sh or evt.type = execve and proc.name = never");
    for appended in [
        "- rule: r\n  condition: and proc.args = x\n  append: true\n",
        "- rule: r\n  condition: and proc.args = x\n  override: {condition: append}\n",
    ] {
        let text = format!("{text}{appended}");
        assert!(holds(&text, "sh y"), "`and` binds to the last `or` alone");
        assert!(!holds(&text, "never y"));
    }
}

#[test]
fn an_override_changes_what_it_names() {
    let text = format!(
        "{}- rule: r\n  output: new %proc.name\n  priority: CRITICAL\n  tags: [x]\n  desc: more\n  override:\n    output: replace\n    \
         priority: replace\n    tags: append\n    desc: append\n",
        rule("r", "evt.type = execve")
    );
    let set = rules(&text);
    let changed = set.find("r").expect("a rule");

    assert_eq!(
        (changed.template(), changed.priority(), changed.desc()),
        ("new %proc.name", Priority::Critical, "d more")
    );
    assert_eq!(changed.tags(), ["x"]);
}

#[test]
fn a_rule_can_be_disabled_and_enabled_again() {
    let text = rule("r", "evt.type = execve");
    for (change, expected) in [
        ("- rule: r\n  enabled: false\n", Status::Disabled),
        ("- rule: r\n  enabled: false\n- rule: r\n  enabled: true\n", Status::Active),
        ("- rule: r\n  enabled: false\n  override: {enabled: replace}\n", Status::Disabled),
    ] {
        assert_eq!(*rules(&format!("{text}{change}")).find("r").expect("a rule").status(), expected, "{change}");
    }
}

#[test]
fn exceptions_take_out_what_all_their_fields_say() {
    let with = |exceptions: &str| {
        format!("{}  exceptions:\n{exceptions}", rule("r", "evt.type = execve and proc.name in (sh, ash)"))
    };
    let several = with(
        "    - name: e\n      fields: [proc.name, proc.args, proc.pname]\n      comps: [=, contains, in]\n      values:\n        \
         - [sh, x, [node, bash]]\n",
    );
    assert!(holds(&several, "sh y") && holds(&several, "ash x") && !holds(&several, "sh axb"));
    let one = with("    - name: e\n      fields: proc.args\n      values: [x, '\"y z\"', w v]\n");
    assert!(holds(&one, "sh a") && !holds(&one, "sh x") && !holds(&one, "sh y z") && !holds(&one, "ash w v"));
    let empty = with("    - name: e\n      fields: [proc.args]\n");
    assert!(holds(&empty, "sh x"));
    let appended = format!("{empty}- rule: r\n  exceptions:\n    - name: e\n      values: [[x]]\n  append: true\n");
    assert!(holds(&appended, "sh a") && !holds(&appended, "sh x"));
    let added = format!(
        "{empty}- rule: r\n  exceptions:\n    - name: f\n      fields: [proc.args]\n      comps: [startswith]\n      values: [[x]]\n  \
         override: {{exceptions: append}}\n"
    );
    assert!(holds(&added, "sh a") && !holds(&added, "sh xy"));
}

#[test]
fn fields_are_compared_with_fields_and_changed_before() {
    for (condition, expected) in [
        ("proc.name = val(proc.vpgid.name)", false),
        ("proc.exe = val(proc.name)", true),
        ("tolower(proc.exe) = val(proc.name)", true),
        ("toupper(proc.name) = SH", true),
        ("len(proc.args) = 3", true),
        ("basename(proc.exepath) in (sh, bash)", true),
        ("proc.exepath endswith val(proc.name)", true),
        ("b64(proc.args) exists", false),
        ("proc.aname in (node)", true),
        ("proc.aname != node", false),
        ("proc.aname[2] startswith containerd", true),
        ("len(proc.aname) = 2", true),
        ("proc.aname[9] exists", false),
        ("proc.env exists and proc.env[X] exists", false),
    ] {
        assert_eq!(holds(&rule("r", &format!("evt.type = execve and {condition}")), "sh a_b"), expected, "{condition}");
    }
}

#[test]
fn addresses_are_compared_with_networks() {
    let scene = Scene::connect("app", "10.1.2.3", 443);
    for (condition, expected) in [
        ("fd.sip = 10.1.2.3", true),
        ("fd.sip in (10.1.2.4, 10.1.2.0/24)", true),
        ("fd.snet in (192.168.0.0/16, 10.0.0.0/8)", true),
        ("fd.snet != 10.0.0.0/8", false),
        ("fd.ip = 172.17.0.2 and fd.ip = 10.1.2.3", true),
        ("fd.ip != 172.17.0.2", false),
        ("fd.net != 127.0.0.0/8", true),
        ("fd.port in (443) and fd.port = 40000", true),
        ("fd.port != 443", false),
        ("fd.sport = 443 and fd.lport = 40000 and fd.cport = 40000 and fd.rport = 443", true),
        ("fd.name = 172.17.0.2:40000->10.1.2.3:443", true),
        ("fd.sockfamily = ip and fd.l4proto = tcp and fd.type = ipv4 and fd.typechar = 4", true),
        ("fd.is_server = true", false),
        ("fd.connected = true", true),
    ] {
        let set = rules(&rule("r", &format!("evt.type = connect and {condition}")));
        assert_eq!(scene.matching(&set) == ["r"], expected, "{condition}");
    }
}

#[test]
fn a_rule_is_woken_by_what_it_can_match_and_nothing_else() {
    let calls = |condition: &str| {
        let set = rules(&rule("r", condition));
        let rule = set.find("r").expect("a rule");
        let calls = rule.calls().iter().map(|call| format!("{}{}", call.name, if call.failures { "!" } else { "" }));
        let words: Vec<String> = rule.kinds().iter().map(|kind| (*kind).to_owned()).chain(calls).collect();
        words.join(" ")
    };

    for (condition, expected) in [
        ("evt.type = connect", "connect!"),
        ("evt.type = connect and evt.rawres >= 0", "connect"),
        ("evt.type = connect and (evt.rawres >= 0 or evt.res = EINPROGRESS)", "connect!"),
        ("evt.type in (open, openat) and fd.num >= 0", "open openat"),
        ("evt.type in (open, openat) and not evt.type = open and evt.failed = false", "openat"),
        ("evt.type = openat and fd.num = -1", "openat!"),
        ("evt.type = setns and evt.rawres in (0, 1)", "setns"),
        ("evt.type startswith mk and evt.failed = false", "mkdir mkdirat mknod mknodat"),
        ("exec.argv intersects (x)", "exec"),
        ("event.kind in (exit, listen)", "exit listen"),
        ("evt.type = procexit", "exit"),
        ("evt.type = connect and exec.cwd exists", ""),
    ] {
        assert_eq!(calls(condition), expected, "{condition}");
    }
}

#[test]
fn all_that_match_are_given_or_only_the_first() {
    let text = [
        rule("a", "evt.type = execve"),
        rule("b", "evt.type = connect"),
        rule("c", "proc.name = sh and evt.type=execve"),
    ];
    let files = [("a.yaml".to_owned(), text.concat())];
    let scene = Scene::exec("sh");

    assert_eq!(scene.matching(&RuleSet::load(&files, &Options::default()).0), ["a", "c"]);
    let first = Options { first_match_only: true, ..Options::default() };
    assert_eq!(scene.matching(&RuleSet::load(&files, &first).0), ["a"]);
    let urgent = Options { least_priority: Some(Priority::Warning), ..Options::default() };
    assert_eq!(scene.matching(&RuleSet::load(&files, &urgent).0), Vec::<String>::new());
}

#[test]
fn what_is_wrong_leaves_out_that_rule_alone_and_is_said_where_it_is() {
    let good = rule("good", "evt.type = execve");
    for (text, said) in [
        (
            rule("r", "evt.type = execve and proc.nmae = x"),
            "a.yaml:9:36: error: rule r: unknown field proc.nmae; did you mean proc.name?",
        ),
        (
            rule("r", "evt.type = excve"),
            "a.yaml:9:25: error: rule r: there is no system call excve; did you mean execve?",
        ),
        (
            rule("r", "evt.type = execve and evt.buffer contains x"),
            "warning: rule r: evt.buffer is not provided: what is read",
        ),
        (rule("r", "evt.type = page_fault"), "warning: rule r: the event page_fault is not provided"),
        (rule("r", "evt.type = execve and evt.arg.nothing = x"), "no call's argument nothing is looked at"),
        (rule("r", "spawned"), "there is no macro spawned"),
        (rule("r", "proc.name = x"), "names no event with evt.type"),
        (rule("r", "fd.sip = x and evt.type = connect"), "`x` is no address and no network"),
        (rule("r", "proc.aname[x] = x and evt.type=execve"), "which ancestor is a number"),
        (rule("r", "proc.name[1] = x and evt.type=execve"), "takes nothing in brackets"),
        (rule("r", "evt.arg = x and evt.type=execve"), "needs a name or a number"),
        (rule("r", "len(proc.pid) = 1 and evt.type=execve"), "is for texts"),
        (rule("r", "proc.name = val(proc.pid) and evt.type=execve"), "is a number, and it is compared with a text"),
        ("- rule: r\n  desc: d\n".into(), "condition is missing"),
        ("- rule: r\n".into(), "or enabled alone"),
        ("- rule: r\n  append: true\n  condition: and x\n".into(), "there is no rule r before this"),
        ("- list: l\n  items: x\n".into(), "items must be a list"),
        ("- macro: a-b\n  condition: x\n".into(), "a-b is no name for a macro"),
        ("- macros: x\n".into(), "did you mean macro?"),
        ("- macro: m\n  condition: proc.name\n".into(), "expected an operator after proc.name"),
        (
            "- macro: m\n  condition: m\n- rule: r\n  desc: d\n  condition: m\n  output: o\n  priority: info\n".into(),
            "defined after this one",
        ),
        (rule("r", "x").replace("info", "warnin"), "warnin is no priority; did you mean warning?"),
        (
            format!("{}  conditon: x\n", rule("r", "evt.type=execve")),
            "the key conditon is not known and left out; did you mean condition?",
        ),
        (format!("{}  source: k8s_audit\n", rule("r", "ka.verb = x")), "it is about events of the source k8s_audit"),
        (rule("r", "evt.type=execve").replace("output: o", "output: '%fd.nothing'"), "the output shows <NA> for it"),
        ("- required_engine_version: 0.58.0\n".into(), "the file is for version 0.58.0 of the rule engine, and 0.57.0"),
        (
            "- required_plugin_versions:\n    - name: k8saudit\n      version: 0.7.0\n".into(),
            "the plug-in k8saudit 0.7.0 is not there",
        ),
        ("- - x\n".into(), "expected an entry"),
    ] {
        let (set, problems) = load(&format!("{good}- macro: unused\n{text}").replace("- macro: unused\n", "# \n"));
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(shown.iter().any(|shown| shown.contains(said)), "{text}\n{shown:#?}");
        assert!(set.find("good").is_some_and(|good| *good.status() == Status::Active), "{text}");
    }
    let (_, problems) = load("x: y\n");
    assert!(problems[0].to_string().starts_with("a.yaml:1:1: error: a rule file is a list"), "{}", problems[0]);
}

#[test]
fn a_place_in_a_folded_block_is_found_on_its_line() {
    let text = "- rule: r\n  desc: d\n  condition: >\n    evt.type = execve\n    and proc.name = sh\n    and proc.nmae in (a, b)\n  \
                output: o\n  priority: info\n";

    let (_, problems) = load(text);

    assert_eq!(
        problems[0].to_string(),
        "a.yaml:6:9: error: rule r: unknown field proc.nmae; did you mean proc.name?\n      and proc.nmae in (a, b)\n          ^^^^^^^^^"
    );
}

#[test]
fn no_file_takes_long_or_ends_the_program() {
    let nested = |depth: usize| rule("r", &format!("{}evt.type = execve{}", "(".repeat(depth), ")".repeat(depth)));
    let chain: String = (0..5000)
        .map(|at| format!("- macro: m{}\n  condition: not m{at}\n", at + 1))
        .fold("- macro: m0\n  condition: evt.type = execve\n".to_owned(), |all, one| all + &one);
    let bomb: String = (0..40)
        .map(|at| format!("- list: l{}\n  items: [l{at}, l{at}, l{at}, l{at}]\n", at + 1))
        .fold("- list: l0\n  items: [x, y, z]\n".to_owned(), |all, one| all + &one);
    let aliases: String = (0..30)
        .map(|at| format!("- &a{} [*a{at}, *a{at}, *a{at}, *a{at}]\n", at + 1))
        .fold("- &a0 [x]\n".to_owned(), |all, one| all + &one);
    let doubled: String = (0..60)
        .map(|at| {
            format!("- macro: m{}\n  condition: (m{at} and proc.pid = {at}) or (m{at} and proc.pid != {at})\n", at + 1)
        })
        .fold("- macro: m0\n  condition: evt.type = execve\n".to_owned(), |all, one| all + &one);
    for (text, said) in [
        (nested(100_000), Some("more than 64 parentheses")),
        (format!("{chain}{}", rule("r", "m5000")), Some("more than 64 macros")),
        (format!("{bomb}{}", rule("r", "evt.type=execve and proc.name in (l40)")), Some("has more than 200000 values")),
        (aliases, Some("values")),
        (format!("{doubled}{}", rule("r", "m60")), None),
        ("[".repeat(100_000), Some("no YAML")),
        (format!("- a\n{}", "- ".repeat(100_000)), Some("lists and mappings in one another")),
        ("- rule: \0\n".into(), Some("control character")),
        ("\u{feff}- list: x\n  items: []\n".into(), None),
        ("x".repeat(rules::MAX_FILE_BYTES + 1), Some("longer than")),
        ("%".into(), Some("no YAML")),
    ] {
        let begun = std::time::Instant::now();
        let (set, problems) = load(&text);
        for rule in set.rules() {
            let _ = set.condition(rule);
        }
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(said.is_none_or(|said| shown.iter().any(|shown| shown.contains(said))), "{shown:?}");
        assert!(shown.iter().all(|shown| shown.len() < 2000), "{shown:?}");
        assert!(begun.elapsed().as_secs() < 30, "{}", &text[..text.len().min(60)]);
    }
}

/// The public files together, as `ringfence rules check` finds them, and what the kernel side is asked for.
#[test]
fn the_public_files_load_as_they_are() {
    let Some(files) = public(&["falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"]) else {
        return;
    };
    let mut summary = String::new();
    for file in &files {
        let (set, problems) = RuleSet::load(std::slice::from_ref(file), &Options::default());
        assert!(problems.iter().all(|problem| problem.severity < Severity::Error), "{problems:?}");
        let check = RuleCheck::new(std::slice::from_ref(file), &set, problems);
        let found = &check.files[0];
        summary += &format!(
            "{}: {} rules, {} active, {} disabled, {} inactive\n",
            found.name, found.rules, found.active, found.disabled, found.inactive
        );
        for rule in &check.inactive {
            summary += &format!("  {}: {}\n", rule.name, rule.reason);
        }
        let calls =
            set.calls().iter().map(|call| if call.failures { format!("{}!", call.name) } else { call.name.into() });
        summary += &format!("  calls (! failures too): {}\n", calls.collect::<Vec<_>>().join(" "));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/public.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, &summary).expect("the file can be written");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), summary, "UPDATE=1 writes {} anew", path.display());
}

/// One comparison, as it may be written.
fn comparison() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "proc.name",
        "tolower(proc.exe)",
        "proc.aname[2]",
        "evt.arg.flags",
        "proc.env[A B]",
        "exec.argv[0]",
        "basename(fd.name)",
    ]);
    let operator =
        prop::sample::select(vec!["=", "!=", "contains", "icontains", "startswith", "endswith", "in", "intersects"]);
    (field, operator, prop::collection::vec(any::<String>(), 1..4)).prop_map(|(field, operator, values)| {
        let field = field.replace("[A B]", "[\"A B\"]");
        let quoted = |value: &String| format!("\"{}\"", event::Text::from(value.as_str()).shown().replace('"', "\\\""));
        let values: Vec<String> = values.iter().map(quoted).collect();
        match operator {
            "in" | "intersects" => format!("{field} {operator} ({})", values.join(", ")),
            _ => format!("{field} {operator} {}", values[0]),
        }
    })
}

fn in_yaml(condition: &str) -> String {
    rule("r", &serde_json::to_string(condition).expect("JSON"))
}

proptest! {
    #[test]
    fn a_comparison_that_is_shown_means_the_same(comparison in comparison()) {
        let show = |text: &str| {
            let (set, problems) = load(&in_yaml(&format!("evt.type = execve and {text}")));
            prop_assert!(problems.is_empty(), "{}", problems[0]);
            let condition = set.condition(set.find("r").expect("a rule")).expect("a condition");
            let line = condition.lines().find(|line| !line.contains("evt.type") && line.starts_with("  "));
            Ok(line.expect("the comparison").trim().to_owned())
        };
        // A name with a blank needs quotes in brackets, which are not shown.
        let first = show(&comparison)?;
        let again = first.replace("[A B]", "[\"A B\"]");
        prop_assert_eq!(show(&again)?, first);
    }

    #[test]
    fn appending_is_writing_it_behind(first in "[a-z]{1,6}", second in "[a-z]{1,6}", words in "(sh|[a-z]{1,3}) [a-z]{1,6}") {
        let (one, two) = (format!("evt.type = execve and proc.name != {first}"), format!("or proc.args contains {second}"));
        let whole = rule("r", &format!("{one} {two}"));
        let old = format!("{}- rule: r\n  condition: {two}\n  append: true\n", rule("r", &one));
        let new = format!("{}- rule: r\n  condition: {two}\n  override: {{condition: append}}\n", rule("r", &one));
        let scene = Scene::exec(&words);
        let answer = scene.matching(&load(&whole).0);
        prop_assert_eq!(scene.matching(&load(&old).0), answer.clone());
        prop_assert_eq!(scene.matching(&load(&new).0), answer);
    }

    #[test]
    fn replacing_twice_is_replacing_with_the_last(first in "[a-z]{1,6}", second in "[a-z]{1,6}") {
        let replace = |name: &str| format!("- rule: r\n  condition: evt.type = execve and proc.name = {name}\n  override: {{condition: replace}}\n");
        let base = rule("r", "evt.type = connect");
        let condition = |text: String| {
            let set = load(&text).0;
            set.condition(set.find("r").expect("a rule"))
        };
        let twice = condition(format!("{base}{}{}", replace(&first), replace(&second)));
        prop_assert_eq!(twice, condition(format!("{base}{}", replace(&second))));
    }

    #[test]
    fn no_text_makes_loading_panic(text in any::<String>()) {
        for problem in load(&text).1 {
            let shown = problem.to_string();
            prop_assert!(!shown.chars().any(|c| is_unsafe_on_a_terminal(c) && c != '\n'), "{shown:?}");
        }
    }

    #[test]
    fn no_near_rule_file_makes_loading_panic(words in prop::collection::vec(prop::sample::select(vec![
        "- rule: r\n", "- macro: m\n", "- list: l\n", "  items: [a, l, \"b c\"]\n", "  condition: m and ", "proc.name in (l)", "\n",
        "  condition: >\n    evt.type = x\n", "  desc: d\n", "  output: '%proc.name %evt.arg[0] %% %'\n", "  priority: info\n", "  append: true\n",
        "  override:\n    condition: append\n", "  exceptions:\n   - name: e\n     fields: [proc.name, fd.name]\n     values: [[a, (b)]]\n",
        " not ", "(", ")", "\"", "'", "[", "]", "  enabled: false\n", "- required_engine_version: 3\n", "é", "\u{1b}",
    ]), 0..24)) {
        let (set, problems) = load(&words.concat());
        for problem in problems {
            let shown = problem.to_string();
            prop_assert!(!shown.chars().any(|c| is_unsafe_on_a_terminal(c) && c != '\n'), "{shown:?}");
        }
        Scene::exec("sh").matching(&set);
    }
}
