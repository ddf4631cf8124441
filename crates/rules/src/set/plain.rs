//! The quick way to ask rules, compared with what their conditions say.
#![cfg(test)]

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use event::{FileType, Protocol, Text};
use proptest::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::arena::{Id, Node};
use super::{Options, RuleSet, Status};
use crate::eval::{Check, Test};
use crate::falco::Cache;
use crate::subject::Subject;

#[path = "../../tests/support/mod.rs"]
mod support;

use support::{Scene, end, file, socket};

impl RuleSet {
    /// Whether a condition holds, part by part as it is written.
    fn holds_plainly(&self, id: Id, subject: &Subject<'_>) -> bool {
        match self.arena.node(id) {
            Node::Const(value) => *value,
            Node::Not(inner) => !self.holds_plainly(*inner, subject),
            Node::All(parts) => parts.iter().all(|part| self.holds_plainly(*part, subject)),
            Node::Any(parts) => parts.iter().any(|part| self.holds_plainly(*part, subject)),
            Node::Check(check) => check.holds(subject, &Cache::default()),
        }
    }

    fn matching_plainly(&self, subject: &Subject<'_>) -> Vec<String> {
        let holds = |rule: &&super::Rule| rule.condition.is_some_and(|id| self.holds_plainly(id, subject));
        let active = self.rules.iter().filter(|rule| rule.status == Status::Active);
        active.filter(holds).map(|rule| rule.name.clone()).collect()
    }
}

/// The rules that come with ringfence, and the public ones if the machine has them.
fn sets() -> Vec<RuleSet> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    let mut shipped: Vec<(String, String)> = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder of rules") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            shipped.push((path.display().to_string(), std::fs::read_to_string(&path).expect("a file")));
        }
    }
    shipped.sort();
    let public = ["falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"];
    // Without them the test is still one: it does not say that it was skipped.
    let public = std::env::var_os("RINGFENCE_TEST_DATA").and_then(|_| support::public(&public));
    let all = std::iter::once(shipped).chain(public);
    all.map(|files| RuleSet::load(&files, &Options::default()).0).collect()
}

/// Random numbers from one.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn one_of<'t>(&mut self, texts: &'t [String], other: &'t str) -> &'t str {
        if texts.is_empty() || self.below(4) == 0 { other } else { &texts[self.below(texts.len())] }
    }
}

/// The texts that rules compare fields with.
#[derive(Default)]
struct Words(FxHashMap<String, Vec<String>>);

impl Words {
    fn of(set: &RuleSet) -> Words {
        let mut words = Words::default();
        for rule in set.active() {
            for check in rule.condition.map(|id| set.checks(id)).unwrap_or_default() {
                words.add(&check);
            }
        }
        words.0.values_mut().for_each(|texts| texts.sort());
        words
    }

    fn add(&mut self, check: &Arc<Check>) {
        let mut add = |text: &[u8], before: &str, after: &str| {
            let text = format!("{before}{}{after}", String::from_utf8_lossy(text));
            self.0.entry(check.left.field.name.clone()).or_default().push(text);
        };
        match &check.test {
            Test::Is(text) | Test::IsNot(text) => add(text, "", ""),
            Test::OneOf(texts) => texts.iter().for_each(|text| add(text, "", "")),
            Test::StartsWith(text) => ["", "x", "/a b"].iter().for_each(|after| add(text, "", after)),
            Test::EndsWith(text) => ["", "/a"].iter().for_each(|before| add(text, before, "")),
            Test::Contains(text) => add(text.needle(), "a ", " b"),
            Test::ContainsInAnyCase(text) => add(text, "a", "b"),
            _ => {}
        }
    }

    fn named(&self, field: &str) -> &[String] {
        self.0.get(field).map(Vec::as_slice).unwrap_or_default()
    }
}

/// An event such as rules look for, nearly.
fn scene(words: &Words, random: &mut Random) -> Scene {
    let line = ["-c", "-i", "x", "/etc/shadow", "--follow", "-m"][random.below(6)];
    let argument = if random.below(2) == 0 { "proc.args" } else { "proc.cmdline" };
    let command = format!(
        "{} {line} {}",
        random.one_of(words.named("proc.name"), "node"),
        random.one_of(words.named(argument), "server.js")
    );
    let name = ["fd.name", "fd.directory", "fs.path.name", "fd.filename"][random.below(4)];
    let mut path = random.one_of(words.named(name), "/srv/data").to_owned();
    match name {
        "fd.directory" => path.push_str("/passwd"),
        "fd.filename" => path.insert_str(0, "/root/"),
        _ => {}
    }
    let flags = [0, 1, 2, 0o101, 0o1101][random.below(5)];
    let mut scene = match random.below(6) {
        0 | 1 => Scene::exec(&command),
        2 | 3 => Scene::open(&command, &path, flags),
        4 => {
            let address = ["127.0.0.1", "10.0.0.7", "203.0.113.9", "169.254.169.254", "::1"][random.below(5)];
            Scene::connect(&command, address, [22, 53, 80, 443, 3333][random.below(5)])
        }
        _ => {
            let call = random.one_of(words.named("evt.type"), "dup2").to_owned();
            let is_one = event::SyscallNames::builtin().number(event::Arch::X86_64, &call).is_some();
            let number = random.below(4) as i64;
            Scene::call(&command, if is_one { &call } else { "ptrace" }).with(|action| {
                action.path = path.as_str().into();
                action.second_path = path.as_str().into();
                action.args = [number as u64, 4, 16, 0o777, 0, 0];
                action.result = number;
                action.file = Some(match number {
                    0 => file(0, &path),
                    _ => socket(1, Protocol::Tcp, Some(end("10.0.0.7", 22)), Some(end("203.0.113.9", 4444))),
                });
            })
        }
    };
    if let event::Payload::Action(action) = &mut scene.event.payload {
        if random.below(6) == 0 {
            (action.result, action.file) = (-13, None);
        }
        if let Some(file) = &mut action.file
            && random.below(8) == 0
        {
            file.file_type = [FileType::CharacterDevice, FileType::Directory, FileType::Other][random.below(3)];
        }
    }
    if random.below(2) == 0 {
        let parent = random.one_of(words.named("proc.pname"), "nginx").to_owned();
        scene = scene.only_below(&[&parent, "runc x", "systemd"]);
    }
    if random.below(4) == 0 {
        scene = scene.user(0, "root").capable(&["CAP_SYS_ADMIN"]);
    }
    if random.below(4) == 0 {
        scene = scene.on_terminal().image(|image| image.upper_layer = true);
    }
    scene.container_image = random.one_of(words.named("container.image.repository"), "shop/web:1.2").to_owned();
    scene.privileged = random.below(3) == 0;
    if random.below(5) == 0 {
        scene.exec.executable = Text::from(random.one_of(words.named("proc.exepath"), "/tmp/x"));
    }
    scene
}

#[test]
fn what_is_asked_quickly_is_what_the_conditions_say() {
    for set in sets() {
        let words = Words::of(&set);
        let matched: RefCell<FxHashSet<String>> = RefCell::default();
        proptest!(ProptestConfig::with_cases(6_000), |(seed in any::<u64>())| {
            let scene = scene(&words, &mut Random(seed | 1));
            let expected = scene.ask(|subject| set.matching_plainly(subject));
            prop_assert_eq!(scene.matching(&set), expected.clone(), "{:?}", scene);
            matched.borrow_mut().extend(expected);
        });
        let matched = matched.into_inner();
        // Events that nothing matches would prove little.
        assert!(matched.len() * 3 >= set.active().count(), "{} of {}", matched.len(), set.active().count());
    }
}

/// Words of few letters, some of which begin, end or lie within others.
fn comparison() -> impl Strategy<Value = String> {
    let word = || "[ab]{0,4}".prop_map(|word| format!("\"{word}\""));
    let words = prop::collection::vec(word(), 1..4).prop_map(|words| words.join(", "));
    let operator = prop::sample::select(vec!["=", "!=", "startswith", "endswith", "contains", "icontains"]);
    prop_oneof![
        (operator, word()).prop_map(|(operator, word)| format!("proc.name {operator} {word}")),
        words.clone().prop_map(|words| format!("proc.name in ({words})")),
        words.prop_map(|words| format!("proc.aname in ({words})")),
    ]
}

proptest! {
    #[test]
    fn comparisons_of_one_field_are_answered_as_if_they_were_alone(
        conditions in prop::collection::vec((comparison(), comparison(), 0_usize..4), 1..24),
        names in prop::collection::vec("[ab]{0,5}", 1..12),
    ) {
        let mut text = String::new();
        for (at, (one, other, form)) in conditions.iter().enumerate() {
            let both = match form {
                0 => format!("{one} and {other}"),
                1 => format!("{one} or {other}"),
                2 => format!("{one} and not {other}"),
                _ => format!("not ({one} or {other})"),
            };
            text.push_str(&format!(
                "- rule: r{at}\n  desc: d\n  condition: evt.type=openat and ({both})\n  output: o\n  priority: INFO\n"
            ));
        }
        let set = support::rules(&text);
        for pair in names.windows(2) {
            let scene = Scene::open(&pair[0], "/a", 0).only_below(&[&pair[1], "ab", "b"]);
            prop_assert_eq!(scene.matching(&set), scene.ask(|subject| set.matching_plainly(subject)), "{}", text);
        }
    }
}
