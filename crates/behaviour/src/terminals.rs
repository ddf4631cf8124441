//! Sessions on terminals: whether somebody, or something that looks like it, worked in a container.

use std::collections::BTreeMap;

use event::{Device, Event, Phase, TerminalProgram, TerminalText, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FirstUse;
use crate::first::First;
use crate::images::Images;
use crate::lists::merged;
use crate::redaction::Redaction;

/// The sessions of a container that had a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Terminals {
    /// Each session, by phase, leader, terminal and first program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<TerminalSession>,
    /// Programs that were started in others, and texts, beyond those that are listed.
    #[serde(default, skip_serializing_if = "is_zero", with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub unlisted: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Terminals {
    /// Takes what looks like a secret out of what was typed and shown.
    pub fn redact(&mut self, redaction: &Redaction) {
        for transcript in self.sessions.iter_mut().filter_map(|session| session.transcript.as_mut()) {
            for passage in &mut transcript.passages {
                let (text, count) = redaction.of(&passage.text);
                passage.text = text;
                transcript.redacted += count;
            }
        }
    }

    /// The sessions of several runs as one. The order and the grouping of merges make no difference.
    pub fn merge(self, other: Terminals) -> Terminals {
        let key = |one: &TerminalSession| (one.phase, one.session, one.device);
        Terminals {
            sessions: merged(self.sessions, other.sessions, key, |one, other| TerminalSession {
                programs: one.programs.saturating_add(other.programs),
                first: one.first.min(other.first),
                last_boot_ns: one.last_boot_ns.max(other.last_boot_ns),
                transcript: merged_transcript(one.transcript, other.transcript),
                ..one
            }),
            unlisted: self.unlisted.saturating_add(other.unlisted),
        }
    }
}

fn merged_transcript(one: Option<Transcript>, other: Option<Transcript>) -> Option<Transcript> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.merge(other)),
        (one, other) => one.or(other),
    }
}

/// One session with a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TerminalSession {
    /// How it came about: `main` is the workload's own, `exec` was entered from outside later.
    pub phase: Phase,
    /// The pid of its leader in the first pid namespace; 0 if that had ended.
    pub session: u32,
    /// The terminal: of 136 to 143 it is `/dev/pts/N`, N being the minor number.
    pub device: Device,
    /// How many programs were started in it; none if something was only typed or shown there.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub programs: u64,
    /// The first program that was started in it, or that typed or showed something there.
    pub first: FirstUse,
    /// When the last of them did so, in nanoseconds since boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub last_boot_ns: u64,
    /// What was typed and shown, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Transcript>,
}

/// What was typed and shown in a session, as far as its terminal showed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transcript {
    /// In the order in which it came.
    pub passages: Vec<Passage>,
    /// Bytes that were typed while the terminal did not show them: passwords, and the keys of programs that show themselves
    /// what is typed. They are not kept.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub hidden_bytes: u64,
    /// Whether there was more, which is not kept.
    pub is_cut: bool,
    /// How often something that looked like a secret was taken out.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub redacted: u64,
}

/// Text that was typed, or shown, until it was the other's turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Passage {
    /// When it began, in nanoseconds since boot.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub boot_ns: u64,
    /// Whether it was typed; else it was shown.
    pub typed: bool,
    /// The text, with what controls the terminal in it.
    pub text: Text,
}

impl Transcript {
    fn merge(mut self, other: Transcript) -> Transcript {
        self.passages.extend(other.passages);
        self.passages.sort();
        Transcript {
            passages: self.passages,
            hidden_bytes: self.hidden_bytes.saturating_add(other.hidden_bytes),
            is_cut: self.is_cut || other.is_cut,
            redacted: self.redacted.saturating_add(other.redacted),
        }
    }

    /// Bytes of text.
    pub fn bytes(&self) -> u64 {
        self.passages.iter().map(|passage| passage.text.as_bytes().len() as u64).sum()
    }
}

impl TerminalSession {
    /// The terminal's name where every system calls it the same, else its numbers
    /// (Documentation/admin-guide/devices.txt, 6.18).
    pub fn name(&self) -> String {
        match (self.device.major, self.device.minor) {
            (136..=143, _) => format!("pts/{}", (self.device.major - 136) * 256 + self.device.minor),
            (4, minor @ 0..=63) => format!("tty{minor}"),
            (4, minor @ 64..=255) => format!("ttyS{}", minor - 64),
            (5, 1) => "console".to_owned(),
            _ => format!("terminal {}", self.device),
        }
    }
}

/// So many sessions are listed for a container.
const MAX_SESSIONS: usize = 256;

/// So many passages are kept of a container, all sessions together.
const MAX_PASSAGES: usize = 8192;

/// So many bytes of them. The kernel side keeps to what was asked for; this is for whoever asks for much.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// What is known of one run so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    sessions: BTreeMap<(Phase, u32, Device), Session>,
    unlisted: u64,
    passages: usize,
    text_bytes: usize,
}

#[derive(Clone, Debug)]
struct Session {
    programs: u64,
    first: First,
    last_boot_ns: u64,
    transcript: Option<Transcript>,
}

impl Sessions {
    /// Takes in a program start in a session with a terminal.
    pub(crate) fn observe(&mut self, event: &Event, program: &TerminalProgram, images: &Images) {
        if let Some(session) = self.session(event, program.session, program.device, images) {
            session.programs += 1;
        } else {
            self.unlisted += 1;
        }
    }

    /// Takes in what was typed or shown.
    pub(crate) fn read(&mut self, event: &Event, text: &TerminalText, images: &Images) {
        let is_full = self.passages >= MAX_PASSAGES || self.text_bytes >= MAX_TEXT_BYTES;
        let Some(session) = self.session(event, text.session, text.device, images) else {
            self.unlisted += 1;
            return;
        };
        let kept = session.transcript.get_or_insert_default();
        if text.hidden {
            kept.hidden_bytes = kept.hidden_bytes.saturating_add(text.bytes);
            return;
        }
        let bytes = text.text.as_bytes();
        kept.is_cut |= (bytes.len() as u64) < text.bytes || is_full;
        if bytes.is_empty() || is_full {
            return;
        }
        match kept.passages.last_mut().filter(|passage| passage.typed == text.typed) {
            Some(passage) => passage.text.push(bytes),
            None => {
                kept.passages.push(Passage { boot_ns: event.boot_ns, typed: text.typed, text: text.text.clone() });
                self.passages += 1;
            }
        }
        self.text_bytes += bytes.len();
    }

    /// The session, unless as many are listed as may be.
    fn session(&mut self, event: &Event, session: u32, device: Device, images: &Images) -> Option<&mut Session> {
        let key = (event.phase, session, device);
        if self.sessions.len() >= MAX_SESSIONS && !self.sessions.contains_key(&key) {
            return None;
        }
        let first = First::new(event.boot_ns, &event.task);
        let session = self.sessions.entry(key).or_insert_with(|| Session {
            programs: 0,
            first: first.clone(),
            last_boot_ns: 0,
            transcript: None,
        });
        session.last_boot_ns = session.last_boot_ns.max(event.boot_ns);
        if event.boot_ns < session.first.boot_ns {
            session.first = first;
        }
        session.first.resolve(images);
        Some(session)
    }

    pub(crate) fn freeze(&self, images: &Images) -> Terminals {
        let sessions = self.sessions.iter().map(|(&(phase, session, device), one)| TerminalSession {
            phase,
            session,
            device,
            programs: one.programs,
            first: one.first.freeze(images),
            last_boot_ns: one.last_boot_ns,
            transcript: one.transcript.clone(),
        });
        Terminals { sessions: sessions.collect(), unlisted: self.unlisted }
    }
}

#[cfg(test)]
mod tests {
    use event::{ExecId, Payload, ProcessId, RunId, TaskId};

    use super::*;
    use crate::{Builder, Limits};

    fn program(at: u64, phase: Phase, session: u32, minor: u32) -> Event {
        let process = ProcessId { pid: 7, start_ns: 1 };
        Event {
            boot_ns: at,
            run: RunId { slot: 1, generation: 0 },
            phase,
            task: TaskId { image: ExecId { process, exec: 1 }, tid: 7, comm: "sh".into() },
            payload: Payload::Terminal(TerminalProgram { device: Device { major: 136, minor }, session }),
        }
    }

    fn seen(events: &[Event]) -> Terminals {
        let mut builder = Builder::new(Limits::default());
        events.iter().for_each(|event| builder.observe(event));
        builder.freeze().terminals
    }

    #[test]
    fn a_session_is_one_however_many_programs_it_starts() {
        let terminals =
            seen(&[program(5, Phase::Main, 7, 0), program(3, Phase::Main, 7, 0), program(9, Phase::Exec, 8, 1)]);

        let told: Vec<_> = terminals
            .sessions
            .iter()
            .map(|one| (one.phase, one.name(), one.programs, one.first.boot_ns, one.last_boot_ns))
            .collect();
        let expected = [(Phase::Main, "pts/0".to_owned(), 2, 3, 5), (Phase::Exec, "pts/1".to_owned(), 1, 9, 9)];
        assert_eq!(told, expected);
    }

    #[test]
    fn sessions_beyond_those_that_are_listed_are_counted() {
        let events: Vec<Event> =
            (0..MAX_SESSIONS as u32 + 3).map(|session| program(1, Phase::Main, session, 0)).collect();

        let terminals = seen(&events);

        assert_eq!((terminals.sessions.len(), terminals.unlisted), (MAX_SESSIONS, 3));
    }

    #[test]
    fn the_order_and_the_grouping_of_merges_make_no_difference() {
        let one = seen(&[program(5, Phase::Main, 7, 0)]);
        let other = seen(&[program(3, Phase::Main, 7, 0), program(9, Phase::Exec, 8, 1)]);
        let third = seen(&[program(4, Phase::Exec, 8, 1)]);

        assert_eq!(one.clone().merge(other.clone()), other.clone().merge(one.clone()));
        assert_eq!(one.clone().merge(other.clone()).merge(third.clone()), one.clone().merge(other.merge(third)));
        assert_eq!(one.clone().merge(Terminals::default()), one);
    }

    fn text(at: u64, session: u32, typed: bool, text: &str) -> Event {
        let device = Device { major: 136, minor: 0 };
        let bytes = text.len() as u64;
        let text = TerminalText { device, session, typed, hidden: false, bytes, text: text.into() };
        Event { payload: Payload::TerminalText(text), ..program(at, Phase::Main, session, 0) }
    }

    fn changed(mut event: Event, change: impl Fn(&mut TerminalText)) -> Event {
        if let Payload::TerminalText(text) = &mut event.payload {
            change(text);
        }
        event
    }

    fn transcript(terminals: &Terminals) -> Transcript {
        terminals.sessions[0].transcript.clone().expect("there is one")
    }

    #[test]
    fn what_is_typed_and_shown_stands_in_its_order() {
        let terminals = seen(&[
            program(1, Phase::Main, 7, 0),
            text(2, 7, false, "$ "),
            text(3, 7, true, "l"),
            text(4, 7, true, "s\r"),
            text(5, 7, false, "a b\n"),
            changed(text(6, 7, true, ""), |it| (it.hidden, it.bytes) = (true, 8)),
        ]);

        let transcript = transcript(&terminals);
        let told: Vec<_> =
            transcript.passages.iter().map(|it| (it.boot_ns, it.typed, it.text.escaped().into_owned())).collect();
        let expected = [(2, false, "$ ".to_owned()), (3, true, "ls\r".to_owned()), (5, false, "a b\n".to_owned())];
        assert_eq!(told, expected);
        assert_eq!((transcript.hidden_bytes, transcript.is_cut, terminals.sessions[0].programs), (8, false, 1));
    }

    #[test]
    fn a_secret_in_parts_is_taken_out_of_the_whole() {
        let mut terminals = seen(&[text(1, 7, false, "TOK"), text(2, 7, false, "EN=ab"), text(3, 7, false, "c\n")]);

        terminals.redact(&Redaction::default());

        let transcript = transcript(&terminals);
        assert_eq!(transcript.passages[0].text, "TOKEN=[redacted]\n".into());
        assert_eq!(transcript.redacted, 1);
    }

    #[test]
    fn what_is_not_kept_is_told() {
        let cut = seen(&[changed(text(1, 7, false, "ab"), |it| it.bytes = 3)]);
        assert!(transcript(&cut).is_cut);

        let flood: Vec<Event> = (0..MAX_PASSAGES as u64 + 2).map(|at| text(at, 7, at % 2 == 0, "x")).collect();
        let flood = transcript(&seen(&flood));
        assert!(flood.is_cut);
        assert_eq!(flood.passages.len(), MAX_PASSAGES);
    }

    #[test]
    fn transcripts_are_merged_alike_in_every_order() {
        let one = seen(&[text(5, 7, false, "b"), program(9, Phase::Exec, 8, 1)]);
        let other = seen(&[text(3, 7, true, "a")]);
        let third = seen(&[program(4, Phase::Main, 7, 0)]);

        assert_eq!(one.clone().merge(other.clone()), other.clone().merge(one.clone()));
        assert_eq!(one.clone().merge(other.clone()).merge(third.clone()), one.merge(other.merge(third)));
    }

    #[test]
    fn a_terminal_has_its_usual_name() {
        let name = |major, minor| {
            let mut terminals = seen(&[program(1, Phase::Main, 7, 0)]);
            terminals.sessions[0].device = Device { major, minor };
            terminals.sessions[0].name()
        };
        assert_eq!(name(136, 300), "pts/300");
        assert_eq!(name(4, 1), "tty1");
        assert_eq!(name(4, 64), "ttyS0");
        assert_eq!(name(5, 1), "console");
        assert_eq!(name(204, 64), "terminal 204:64");
    }
}
