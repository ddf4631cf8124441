//! Scripts: what was run by an interpreter, be it a file or a text among its arguments.
//!
//! A script that is executed by its name tells its interpreter (`#!`). One that is handed to an interpreter is told by the
//! interpreter's arguments, read as the interpreter reads them. What it reads from its standard input, or from a file that it
//! is told to source, is not seen.

use std::collections::BTreeMap;

use event::{Event, Exec, Phase, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FirstUse;
use crate::first::First;
use crate::images::Images;
use crate::lists::merged;

/// The scripts that a container ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scripts {
    /// Each of them once per phase and interpreter, in this order, then by path and text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<ScriptUse>,
    /// How often others were run, beyond those that are listed.
    #[serde(default, skip_serializing_if = "is_zero", with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub unlisted: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Scripts {
    /// The scripts of several runs as one: every entry of both, and the sums of the counts. The order and the grouping of
    /// merges make no difference.
    pub fn merge(self, other: Scripts) -> Scripts {
        Scripts {
            uses: merged(self.uses, other.uses, ScriptUse::key, |one, other| ScriptUse {
                count: one.count.saturating_add(other.count),
                first: one.first.min(other.first),
                ..one
            }),
            unlisted: self.unlisted.saturating_add(other.unlisted),
        }
    }
}

/// One script, as often as it was run in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScriptUse {
    /// The part of the container's life.
    pub phase: Phase,
    /// The program that ran it, as the kernel resolved its path.
    pub interpreter: Text,
    /// The script's file as it was passed, behind the working directory if that is not its beginning. Empty: a text.
    pub path: Text,
    /// The text that was handed over (`sh -c TEXT`), or its first 1,024 bytes; of several (`perl -e A -e B`) each is a line.
    pub text: Text,
    /// Whether there is more of the text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// How often.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub count: u64,
    /// The first time: the interpreter's own process.
    pub first: FirstUse,
}

impl ScriptUse {
    fn key(&self) -> (Phase, Text, Text, Text, bool) {
        (self.phase, self.interpreter.clone(), self.path.clone(), self.text.clone(), self.truncated)
    }
}

/// So many scripts are listed for a container.
const MAX_SCRIPTS: usize = 512;
/// So much is kept of a text.
const MAX_TEXT_BYTES: usize = 1024;

/// What an exec says about a script.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Script {
    path: Text,
    text: Text,
    truncated: bool,
}

/// What is known of one run so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScriptRuns {
    runs: BTreeMap<(Phase, Text, Script), (u64, First)>,
    unlisted: u64,
}

impl ScriptRuns {
    /// Takes in a program start.
    pub(crate) fn observe(&mut self, event: &Event, exec: &Exec, images: &Images) {
        let Some(script) = script(exec) else { return };
        let key = (event.phase, exec.executable.clone(), script);
        let first = First::new(event.boot_ns, &event.task);
        if let Some((count, known)) = self.runs.get_mut(&key) {
            *count += 1;
            if event.boot_ns < known.boot_ns {
                *known = first;
                known.resolve(images);
            }
        } else if self.runs.len() < MAX_SCRIPTS {
            let (_, known) = self.runs.entry(key).or_insert((1, first));
            known.resolve(images);
        } else {
            self.unlisted += 1;
        }
    }

    pub(crate) fn freeze(&self, images: &Images) -> Scripts {
        let uses = self.runs.iter().map(|((phase, interpreter, script), (count, first))| ScriptUse {
            phase: *phase,
            interpreter: interpreter.clone(),
            path: script.path.clone(),
            text: script.text.clone(),
            truncated: script.truncated,
            count: *count,
            first: first.freeze(images),
        });
        Scripts { uses: uses.collect(), unlisted: self.unlisted }
    }
}

/// How an interpreter reads its arguments.
struct Language {
    /// What its program is called, but for a version behind.
    names: &'static [&'static str],
    /// The letters that are followed by a text.
    text: &'static [u8],
    /// Whether that text is the first argument that is no option, as with shells, and not what follows the letter.
    text_comes_last: bool,
    /// The letters that are followed by something else.
    with_value: &'static [u8],
    /// The letters behind which the rest of the word belongs to them.
    with_rest: &'static [u8],
    /// The letters with which no file is run: what comes then is an argument.
    without_file: &'static [u8],
    /// Long options that are followed by a text, and by something else.
    long_text: &'static [&'static str],
    long_with_value: &'static [&'static str],
}

const LANGUAGES: [Language; 7] = [
    Language {
        names: &["sh", "ash", "bash", "dash", "fish", "hush", "ksh", "lksh", "mksh", "rbash", "yash", "zsh"],
        text: b"c",
        text_comes_last: true,
        with_value: b"oO",
        with_rest: b"",
        without_file: b"s",
        long_text: &["--command"],
        long_with_value: &["--rcfile", "--init-file"],
    },
    Language {
        names: &["python", "pypy"],
        text: b"c",
        text_comes_last: false,
        with_value: b"WX",
        with_rest: b"",
        without_file: b"m",
        long_text: &[],
        long_with_value: &["--check-hash-based-pycs"],
    },
    Language {
        names: &["perl"],
        text: b"eE",
        text_comes_last: false,
        with_value: b"I",
        with_rest: b"CDFMVdimx0l",
        without_file: b"",
        long_text: &[],
        long_with_value: &[],
    },
    Language {
        names: &["ruby"],
        text: b"e",
        text_comes_last: false,
        with_value: b"ICEr",
        with_rest: b"FKTWix0",
        without_file: b"",
        long_text: &[],
        long_with_value: &["--encoding", "--external-encoding", "--internal-encoding"],
    },
    Language {
        names: &["node", "nodejs"],
        text: b"ep",
        text_comes_last: false,
        with_value: b"rC",
        with_rest: b"",
        without_file: b"",
        long_text: &["--eval", "--print"],
        long_with_value: &["--require", "--import", "--conditions", "--loader"],
    },
    Language {
        names: &["php"],
        text: b"r",
        text_comes_last: false,
        with_value: b"cdz",
        with_rest: b"",
        without_file: b"",
        long_text: &["--run"],
        long_with_value: &["--php-ini", "--define"],
    },
    Language {
        names: &["lua", "luajit"],
        text: b"e",
        text_comes_last: false,
        with_value: b"l",
        with_rest: b"",
        without_file: b"",
        long_text: &[],
        long_with_value: &[],
    },
];

impl Language {
    /// The language of a program of this name, a version behind it left out: `python3.11`.
    fn of(program: &[u8]) -> Option<&'static Language> {
        let end = program.iter().rposition(|byte| !byte.is_ascii_digit() && !b".-".contains(byte))?;
        let name = &program[..=end];
        LANGUAGES.iter().find(|language| language.names.iter().any(|known| known.as_bytes() == name))
    }
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// The path of the script that an exec runs, as it was passed, behind the working directory if that is not its beginning; none
/// if it runs none, or a text.
pub fn script_file(exec: &Exec) -> Option<Text> {
    script(exec).map(|script| script.path).filter(|path| !path.is_empty())
}

/// The script that an exec runs, if it is one.
fn script(exec: &Exec) -> Option<Script> {
    if !exec.interpreter.is_empty() {
        // It looks for the interpreter (`#!/usr/bin/env python3`), whose own start says which that is.
        if base_name(exec.executable.as_bytes()) == b"env" {
            return None;
        }
        return Some(of_file(exec.argument.as_bytes(), exec));
    }
    let argv: Vec<&[u8]> = exec.argv.iter().map(Text::as_bytes).collect();
    let executable = base_name(exec.executable.as_bytes());
    // A program of many names goes by the one that it is called by.
    let (name, arguments) = match argv.as_slice() {
        [own, applet, rest @ ..] if executable == b"busybox" && base_name(own) == b"busybox" => (*applet, rest),
        [own, rest @ ..] if executable == b"busybox" => (base_name(own), rest),
        [_, rest @ ..] => (executable, rest),
        [] => return None,
    };
    // A login shell has a dash in front.
    let name = name.strip_prefix(b"-").unwrap_or(name);
    handed_over(Language::of(name)?, arguments, exec)
}

/// What the interpreter's arguments tell it to run.
fn handed_over(language: &Language, arguments: &[&[u8]], exec: &Exec) -> Option<Script> {
    let mut texts: Vec<&[u8]> = Vec::new();
    let (mut text_comes, mut has_file) = (false, true);
    let mut rest = arguments.iter();
    let mut first = None;
    while let Some(&word) = rest.next() {
        let is_option = word.len() > 1 && (word[0] == b'-' || language.text_comes_last && word[0] == b'+');
        if word == b"--" || word == b"-" && language.text_comes_last {
            first = rest.next().copied();
            break;
        }
        if !is_option {
            first = Some(word);
            break;
        }
        if word.starts_with(b"--") {
            let is_one = |names: &[&str]| names.iter().any(|name| name.as_bytes() == word);
            if is_one(language.long_text) {
                texts.extend(rest.next());
            } else if is_one(language.long_with_value) {
                rest.next();
            }
            continue;
        }
        let mut letters = &word[1..];
        while let [letter, behind @ ..] = letters {
            letters = behind;
            if language.text.contains(letter) && language.text_comes_last {
                text_comes = true;
            } else if language.text.contains(letter) {
                // The rest of the word, else the next one.
                texts.extend(if behind.is_empty() { rest.next().copied() } else { Some(behind) });
                break;
            } else if language.without_file.contains(letter) {
                has_file = false;
                if !language.text_comes_last {
                    return None;
                }
            } else if language.with_value.contains(letter) {
                if behind.is_empty() || language.text_comes_last {
                    rest.next();
                }
                if !language.text_comes_last {
                    break;
                }
            } else if language.with_rest.contains(letter) {
                break;
            }
        }
        // What comes behind such a text are its arguments.
        if !texts.is_empty() && language.names.contains(&"python") {
            break;
        }
    }
    if text_comes {
        texts.extend(first);
        first = None;
    }
    if !texts.is_empty() {
        return Some(of_text(&texts.join(&b'\n'), exec.argv_truncated));
    }
    first.filter(|file| has_file && !text_comes && !file.is_empty() && *file != b"-").map(|file| of_file(file, exec))
}

fn of_file(file: &[u8], exec: &Exec) -> Script {
    let path = if file.starts_with(b"/") || exec.cwd.is_empty() {
        file.to_vec()
    } else {
        let above = exec.cwd.as_bytes().strip_suffix(b"/").unwrap_or(exec.cwd.as_bytes());
        [above, b"/", file.strip_prefix(b"./").unwrap_or(file)].concat()
    };
    Script { path: Text::new(path), text: Text::default(), truncated: false }
}

fn of_text(text: &[u8], argv_truncated: bool) -> Script {
    let kept = &text[..text.len().min(MAX_TEXT_BYTES)];
    let truncated = kept.len() < text.len() || argv_truncated;
    Script { path: Text::default(), text: Text::new(kept), truncated }
}

#[cfg(test)]
mod tests;
