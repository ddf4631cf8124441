//! What is not in the baseline, while it happens.

use std::collections::BTreeMap;

use ::recommend::Estimate;
use ::report::{Timestamp, Workload, count, counted, duration};
use agent::Place;
use alerts::{Alert, Baseline, By, Container, Fact, Learner, Origin, Seen, Sureness, Taken, Verdict};
use behaviour::Behaviour;
use event::{Payload, RunId, Text};
use rules::Subject;

use super::office::Office;
use super::process_of;

/// How many new things of all containers are remembered.
const MAX_KNOWN: usize = 16 * 1024;

/// Compares what containers do with what is normal.
pub(super) struct Comparison {
    baseline: Baseline,
    /// For how long a workload is learnt of which nothing is known, in nanoseconds; none if it is not.
    learning_ns: Option<u64>,
    learners: Vec<Learner>,
    /// New things that were told, or are to be, by the run that did them.
    known: BTreeMap<RunId, BTreeMap<Fact, Known>>,
    known_count: usize,
    /// Containers that nothing is known of, so that it is said once.
    said: Vec<Workload>,
    /// What is to be said to people.
    sentences: Vec<String>,
    /// The newest time that was seen, in nanoseconds since boot.
    boot_ns: u64,
}

/// A new thing that was offered.
struct Known {
    id: Text,
    /// How often it had happened when that was told last.
    count: u64,
    /// Whether it was told; else it is when there is room.
    is_told: bool,
}

impl Comparison {
    pub(super) fn new(baseline: Baseline, learning_ns: Option<u64>) -> Comparison {
        Comparison {
            baseline,
            learning_ns,
            learners: Vec::new(),
            known: BTreeMap::new(),
            known_count: 0,
            said: Vec::new(),
            sentences: Vec::new(),
            boot_ns: 0,
        }
    }

    /// What there is to be said.
    pub(super) fn sentences(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sentences)
    }

    /// Takes in an event: what it tells by itself.
    pub(super) fn event(&mut self, subject: &Subject<'_>, place: &Place<'_>, office: &mut Office) {
        let found = alerts::facts_of(subject.payload, subject.event.phase);
        if found.is_empty() {
            return;
        }
        let workload = place.workload();
        if !self.is_compared(&workload, place, subject.event.time) {
            return;
        }
        let process = process_of(subject);
        let is_each_time = matches!(subject.payload, Payload::Exec(_));
        for (fact, example) in found {
            if let Some(learner) = self.learner(&workload) {
                learner.take_one(key(place.run), &fact, 1, subject.event.time);
                continue;
            }
            let at = Timestamp::from_unix_ns(subject.event.wall_time);
            let seen = Sighting { example: &example, count: 1, first: at, last: at, is_each_time };
            self.consider(&fact, &seen, Some(&process), place, office);
        }
    }

    /// Takes in all that a container has done.
    pub(super) fn behaviour(
        &mut self,
        behaviour: &Behaviour,
        place: &Place<'_>,
        boot_ns: u64,
        is_last: bool,
        office: &mut Office,
    ) {
        let workload = place.workload();
        if place.is_settled && self.is_compared(&workload, place, boot_ns) {
            let facts = alerts::facts(behaviour);
            if let Some(learner) = self.learner(&workload) {
                learner.take(key(place.run), &facts, boot_ns);
            } else {
                for (fact, seen) in &facts {
                    self.consider_seen(fact, seen, place, office);
                }
            }
        }
        if is_last && let Some(gone) = self.known.remove(&place.run) {
            self.known_count -= gone.len();
        }
        self.boot_ns = self.boot_ns.max(boot_ns);
        self.finish_learning(self.boot_ns, false);
    }

    /// Says what was learnt of whatever is not learnt to its end.
    pub(super) fn end(&mut self) {
        self.finish_learning(self.boot_ns, true);
    }

    fn consider_seen(&mut self, fact: &Fact, seen: &Seen, place: &Place<'_>, office: &mut Office) {
        let time = |boot_ns| Timestamp::from_unix_ns(place.wall_ns(boot_ns));
        let sighting = Sighting {
            example: &seen.example,
            count: seen.count,
            first: time(seen.first_boot_ns),
            last: time(seen.last_boot_ns),
            is_each_time: false,
        };
        let process = seen.by.as_ref().map(|by: &By| alerts::Process {
            id: by.image.process,
            name: by.comm.clone(),
            executable: Some(by.executable.clone()).filter(|path| !path.is_empty()),
            argv: Vec::new(),
            parent: None,
        });
        self.consider(fact, &sighting, process.as_ref(), place, office);
    }

    /// Whether containers of this workload are compared, or learnt; says once if they are not.
    fn is_compared(&mut self, workload: &Workload, place: &Place<'_>, boot_ns: u64) -> bool {
        if self.baseline.knows(workload) || self.learner(workload).is_some() {
            return true;
        }
        let container = container(place);
        let is_known = workload.is_same(workload);
        if let Some(window_ns) = self.learning_ns.filter(|_| is_known) {
            self.sentences.push(format!(
                "learning for {} what is normal in {}",
                duration(window_ns),
                workload_name(workload, &container)
            ));
            self.learners.push(Learner::new(workload.clone(), boot_ns, window_ns));
            return true;
        }
        if place.is_settled && !self.said.contains(workload) && self.said.len() < 1024 {
            let why = if is_known { "no report is of it" } else { "nobody says what is run in it" };
            let name = workload_name(workload, &container);
            self.sentences.push(format!("{name} is compared with no baseline: {why}"));
            self.said.push(workload.clone());
        }
        false
    }

    fn learner(&mut self, workload: &Workload) -> Option<&mut Learner> {
        self.learners.iter_mut().find(|learner| learner.workload().is_same(workload))
    }

    /// Ends what was learnt for long enough; `all` at the end.
    fn finish_learning(&mut self, boot_ns: u64, all: bool) {
        let (over, open) = std::mem::take(&mut self.learners)
            .into_iter()
            .partition(|learner: &Learner| all || learner.is_over(boot_ns));
        self.learners = open;
        for learner in over {
            let name = workload_name(learner.workload(), &Container::default());
            let is_cut = !learner.is_over(boot_ns);
            let (normal, sureness) = learner.finish(boot_ns);
            let each: Vec<String> = normal
                .of_each()
                .into_iter()
                .map(|(what, many)| format!("{} {}", count(many as u64), plural(what, many)))
                .collect();
            let cut = match (is_cut, normal.is_incomplete) {
                (_, true) => " (there was more than is kept)",
                (true, false) => " (it ended before its time)",
                (false, false) => "",
            };
            self.sentences.push(format!("learnt what is normal in {name}{cut}: {}", each.join(", ")));
            self.sentences.push(format!("{name}: {}", sure(&sureness)));
            self.baseline.learn(normal);
        }
    }

    fn consider(
        &mut self,
        fact: &Fact,
        seen: &Sighting<'_>,
        process: Option<&alerts::Process>,
        place: &Place<'_>,
        office: &mut Office,
    ) {
        if !office.wants(fact.priority()) {
            return;
        }
        let of_run = self.known.entry(place.run).or_default();
        if let Some(known) = of_run.get_mut(fact).filter(|known| known.is_told) {
            let more = if seen.is_each_time { 1 } else { seen.count.saturating_sub(known.count) };
            if more > 0 {
                known.count += more;
                office.again(&known.id, more, seen.last);
            }
            return;
        }
        let container = container(place);
        if self.baseline.verdict(&place.workload(), &container, fact) != Verdict::New {
            return;
        }
        let was_offered = of_run.contains_key(fact);
        if was_offered && !office.has_room(&container, fact.rule(), seen.last) {
            return;
        }
        let alert = alert(fact, seen, process, container);
        let id = alert.id.clone();
        let suspect = process.map(|process| (process.id, place.run));
        let taken = office.take(alert, suspect);
        let is_told = taken != Taken::Suppressed;
        if is_told && seen.count > 1 {
            office.again(&id, seen.count - 1, seen.last);
        }
        if was_offered || self.known_count < MAX_KNOWN {
            self.known_count += usize::from(!was_offered);
            of_run.insert(fact.clone(), Known { id, count: seen.count, is_told });
        }
    }
}

/// How something was seen that may be new.
struct Sighting<'a> {
    example: &'a Text,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    /// Whether each sighting is one time more; else the count has all.
    is_each_time: bool,
}

fn alert(fact: &Fact, seen: &Sighting<'_>, process: Option<&alerts::Process>, container: Container) -> Alert {
    let output = format!("it {}, which is not in its baseline", fact.words());
    let mut alert = Alert::new(Origin::Baseline, fact.rule(), fact.priority(), output.as_str().into(), container);
    alert.fact = Some(fact.clone());
    if !seen.example.is_empty() {
        alert.fields.insert("example".into(), Some(seen.example.clone()));
    }
    alert.process = process.cloned();
    let mut alert = alert.sealed(seen.first);
    alert.last_seen = seen.last;
    alert
}

fn key(run: RunId) -> u64 {
    u64::from(run.slot) << 32 | u64::from(run.generation)
}

/// What alerts say of a container.
pub(super) fn container(place: &Place<'_>) -> Container {
    let known = place.container;
    Container {
        name: known.name.map(Text::from),
        id: known.id.map(Text::from),
        image: known.image.map(Text::from),
        engine: known.engine.map(Text::from),
    }
}

/// What to call a workload; safe for a terminal.
pub(super) fn workload_name(workload: &Workload, container: &Container) -> String {
    match (&workload.image, workload.command.first()) {
        (Some(image), _) => image.shown().into_owned(),
        (None, Some(program)) if container.name.is_none() => program.shown().into_owned(),
        _ => container.called(),
    }
}

/// `new program` to `programs`.
fn plural(what: &str, many: usize) -> String {
    let one = what.strip_prefix("new ").unwrap_or(what);
    match one {
        one if many == 1 => one.into(),
        "file written" => "files written".into(),
        "file changed" => "files changed".into(),
        "name looked up" => "names looked up".into(),
        "capability" => "capabilities".into(),
        one => format!("{one}s"),
    }
}

/// How sure it is that nothing is missing.
fn sure(sureness: &Sureness) -> String {
    let estimate = Estimate::of(sureness.samples, sureness.once, sureness.twice, sureness.samples);
    format!(
        "nothing was new in the last {}; as long again is expected to show about {:.1} more ({} to {} with 90 %), each an alert",
        duration(sureness.quiet_ns),
        estimate.expected,
        count(estimate.least.into()),
        counted(estimate.most.into(), "thing", "things"),
    )
}
