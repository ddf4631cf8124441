//! From files to a set of rules.

use super::arena::Id;
use super::expand::{Expander, Failure};
use super::output::Template;
use super::wakes::wakes;
use super::{Options, Rule, RuleSet, Status};
use crate::falco::Direct;
use crate::file::{Definitions, Problem, Problems, RuleDefinition, Severity, Sources, read};

/// Where the events of rules come from.
const SOURCE: &str = "syscall";

pub(super) fn load(files: &[(String, String)], options: &Options) -> (RuleSet, Vec<Problem>) {
    let sources = Sources(files);
    let mut problems = Problems::default();
    let definitions = read(sources, &mut problems);
    let mut expander = Expander::new(&definitions, sources);
    let mut told: Vec<std::rc::Rc<Problem>> = Vec::new();
    let mut rules = Vec::new();
    let mut roots = Vec::new();
    for definition in &definitions.rules {
        let mut rule = new_rule(definition, sources, &mut problems);
        match condition(definition, &mut expander) {
            Ok(id) => {
                rule.condition = Some(id);
                let is_wanted = options.least_priority.is_none_or(|least| rule.priority <= least);
                if definition.enabled && is_wanted {
                    roots.push((rules.len() as u32, id));
                } else {
                    rule.status = Status::Disabled;
                }
            }
            Err(failure) => {
                tell(&mut problems, &mut told, definition, &failure);
                let reason = failure.reason;
                rule.status =
                    if failure.is_not_provided { Status::NotProvided { reason } } else { Status::Wrong { reason } };
            }
        }
        rules.push(rule);
    }
    for failure in expander.unused_macros() {
        problems.add(|| (*failure.problem).clone());
    }
    let mut set = RuleSet {
        rules,
        arena: expander.arena,
        programs: Vec::new(),
        by_kind: Vec::new(),
        by_call: Vec::new(),
        other_call: None,
        calls: Vec::new(),
        first_match_only: options.first_match_only,
        directs: Vec::new(),
    };
    set.awaken(&roots, &definitions, sources, &mut problems);
    (set, problems.finish(sources))
}

fn new_rule(definition: &RuleDefinition, sources: Sources<'_>, problems: &mut Problems) -> Rule {
    let mut unknown = Vec::new();
    let template = Template::parse(&definition.output.text, &mut unknown);
    for issue in unknown {
        let about = format!("rule {}", definition.name);
        let message = format!("{}; the output shows <NA> for it", issue.message);
        let issue = crate::error::Issue { message, ..issue };
        problems.add(|| sources.in_text(Severity::Warning, &definition.output, &issue).about(&about));
    }
    let place = sources.at(Severity::Note, &definition.spot, "");
    Rule {
        name: definition.name.clone(),
        desc: definition.desc.clone(),
        priority: definition.priority,
        tags: definition.tags.clone(),
        source: definition.source.clone(),
        file: place.file,
        line: place.line,
        status: Status::Active,
        output: definition.output.text.clone(),
        template,
        condition: None,
        kinds: Vec::new(),
        calls: Vec::new(),
        wakes_for_any_call: false,
    }
}

fn condition<'d>(definition: &'d RuleDefinition, expander: &mut Expander<'d, '_>) -> Result<Id, Failure> {
    if definition.source != SOURCE {
        return Err(expander.of_another_source(definition));
    }
    expander.rule(definition)
}

/// Tells what is wrong, once for all rules that it is wrong with.
fn tell(problems: &mut Problems, told: &mut Vec<std::rc::Rc<Problem>>, rule: &RuleDefinition, failure: &Failure) {
    if told.iter().any(|known| std::rc::Rc::ptr_eq(known, &failure.problem)) {
        return;
    }
    told.push(failure.problem.clone());
    problems.add(|| {
        let mut problem = (*failure.problem).clone();
        if failure.is_not_provided && rule.skips_unknown_fields {
            problem.severity = Severity::Note;
        }
        let about = match problem.about.take() {
            Some(within) => format!("rule {} ({within})", rule.name),
            None => format!("rule {}", rule.name),
        };
        problem.about(&about)
    });
}

impl RuleSet {
    fn awaken(
        &mut self,
        roots: &[(u32, Id)],
        definitions: &Definitions,
        sources: Sources<'_>,
        problems: &mut Problems,
    ) {
        let mut found = match wakes(&mut self.arena, roots) {
            Ok(found) => found,
            Err(reason) => {
                problems.add(|| sources.of_file(Severity::Error, 0, reason.clone()));
                for (rule, _) in roots {
                    self.rules[*rule as usize].status = Status::Wrong { reason: reason.clone() };
                }
                return;
            }
        };
        self.calls = found.calls();
        for (number, _) in roots {
            let of_rule = found.of_rules.remove(number).unwrap_or_default();
            let (rule, definition) = (&mut self.rules[*number as usize], &definitions.rules[*number as usize]);
            if of_rule.any_call && definition.warns_of_no_events {
                let message =
                    "names no event with evt.type: it is asked about every event that comes for another reason";
                let about = format!("rule {}", rule.name);
                problems.add(|| sources.at(Severity::Warning, &definition.spot, message).about(&about));
            }
            (rule.kinds, rule.calls, rule.wakes_for_any_call) = (of_rule.kinds, of_rule.calls, of_rule.any_call);
        }
        self.programs = found.programs;
        self.by_kind = found.by_kind;
        self.by_call = found.by_call;
        self.other_call = found.other_call;
        self.directs = self.directs_of(roots);
    }

    /// Everything that active rules ask for directly.
    fn directs_of(&self, roots: &[(u32, Id)]) -> Vec<Direct> {
        let mut directs: Vec<Direct> = Vec::new();
        for (rule, id) in roots {
            for check in self.checks(*id) {
                check.fields(&mut |field| directs.extend(field.direct().map(|(direct, _)| direct)));
            }
            let shown = self.rules[*rule as usize].template.operands();
            directs.extend(shown.filter_map(|operand| operand.field.direct()).map(|(direct, _)| direct));
        }
        directs.sort_unstable();
        directs.dedup();
        directs
    }
}
