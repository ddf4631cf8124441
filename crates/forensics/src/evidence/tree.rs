//! Who a process descends from, and its descendants.

use containers::proc::{Held, Namespace, Proc, ReadError};
use event::{ProcessId, Text};

use super::arguments;
use crate::family::Family;
use crate::missing::Gaps;
use crate::{Process, Relation, Relative, Source};

/// So many ancestors and so many descendants are told.
const MAX_ANCESTORS: usize = 64;
const MAX_DESCENDANTS: usize = 128;

/// From the first ancestor outside of the container to the last descendant.
pub(super) fn of(proc: &Proc, held: &Held, container: Option<&Text>, gaps: &mut Gaps) -> Vec<Relative> {
    let inside = Inside::of(held, container);
    let Some(own) = gaps.take("process tree", relative(held, Relation::Itself)) else { return Vec::new() };
    let mut up = ancestors(proc, &own, &inside, gaps);
    up.reverse();
    up.push(own);
    up.extend(descendants(proc, held, gaps));
    up
}

/// What only events tell: ancestors that are gone. A process whose own ancestors were all there needs none.
pub(super) fn complete(process: &mut Process, family: &Family<'_>) {
    let line = family.line(process.id);
    for it in process.tree.iter_mut().filter(|it| it.relation == Relation::Itself) {
        // The kernel's own time is finer than that of `/proc`.
        it.id = process.id;
    }
    let Some(first) = process.tree.first() else {
        // Nothing but the process itself, of which nothing is known, is no tree.
        if line.len() > 1 || line.iter().any(|it| it.executable.is_some()) {
            process.tree = line;
        }
        return;
    };
    if first.relation == Relation::Outside || first.parent_pid != 0 && first.relation == Relation::Ancestor {
        return;
    }
    // It was given to another parent when its own ended.
    let known = process.tree.iter().map(|it| it.id.pid).collect::<Vec<_>>();
    let gone: Vec<Relative> =
        line.into_iter().filter(|it| it.relation == Relation::Ancestor && !known.contains(&it.id.pid)).collect();
    process.tree.splice(0..0, gone);
}

/// Who is in the container.
struct Inside {
    /// The container's id, if its processes' cgroups have it in their path.
    id: Option<Vec<u8>>,
    pid_namespace: Option<u32>,
    mount_namespace: Option<u32>,
}

impl Inside {
    fn of(held: &Held, container: Option<&Text>) -> Inside {
        let id = container.map(|id| id.as_bytes().to_vec()).filter(|id| id.len() >= 8 && has_in_path(held, id));
        Inside {
            id,
            pid_namespace: held.namespace(Namespace::Pid).ok(),
            mount_namespace: held.namespace(Namespace::Mount).ok(),
        }
    }

    fn has(&self, held: &Held) -> bool {
        match &self.id {
            Some(id) => has_in_path(held, id),
            None => {
                let same = |mine: Option<u32>, kind| mine.is_some() && held.namespace(kind).ok() == mine;
                same(self.pid_namespace, Namespace::Pid) && same(self.mount_namespace, Namespace::Mount)
            }
        }
    }
}

fn has_in_path(held: &Held, id: &[u8]) -> bool {
    let lines = held.cgroup().unwrap_or_default();
    lines.iter().any(|line| line.path.windows(id.len()).any(|window| window == id))
}

/// From the parent on upwards, to the first outside of the container.
fn ancestors(proc: &Proc, own: &Relative, inside: &Inside, gaps: &mut Gaps) -> Vec<Relative> {
    let mut found: Vec<Relative> = Vec::new();
    let mut child = own.clone();
    while child.parent_pid != 0 && found.len() < MAX_ANCESTORS {
        let Some(parent) = gaps.take("process tree", proc.hold_any(child.parent_pid)) else { break };
        // Who is younger has only got the number of the parent that has ended meanwhile.
        if parent.start_ns() > child.id.start_ns {
            gaps.add("process tree", format!("the parent of process {} ended meanwhile", child.id.pid));
            break;
        }
        let relation = if inside.has(&parent) { Relation::Ancestor } else { Relation::Outside };
        let Some(it) = gaps.take("process tree", relative(&parent, relation)) else { break };
        child = it.clone();
        found.push(it);
        if relation == Relation::Outside {
            break;
        }
    }
    found
}

fn descendants(proc: &Proc, held: &Held, gaps: &mut Gaps) -> Vec<Relative> {
    let mut found = Vec::new();
    let mut next: Vec<(u32, u64)> = Vec::new();
    let push_children = |of: &Held, next: &mut Vec<(u32, u64)>, gaps: &mut Gaps| match of.children() {
        Ok(children) => next.extend(children.iter().rev().map(|child| (*child, of.start_ns()))),
        Err(ReadError::Gone { .. }) if of.lives() => gaps.add("descendants", "this kernel does not list them"),
        Err(error) => {
            gaps.take::<()>("descendants", Err(error));
        }
    };
    push_children(held, &mut next, gaps);
    while let Some((pid, since)) = next.pop() {
        if found.len() == MAX_DESCENDANTS {
            gaps.add("descendants", format!("only the first {MAX_DESCENDANTS} are listed"));
            break;
        }
        // One that has ended meanwhile is none any more.
        let Ok(child) = proc.hold_any(pid) else { continue };
        let Ok(it) = relative(&child, Relation::Descendant) else { continue };
        if child.start_ns() < since {
            continue;
        }
        found.push(it);
        push_children(&child, &mut next, gaps);
    }
    found
}

fn relative(held: &Held, relation: Relation) -> Result<Relative, ReadError> {
    let stat = held.stat()?;
    let command = held.cmdline()?;
    Ok(Relative {
        id: ProcessId { pid: held.pid(), start_ns: held.start_ns() },
        parent_pid: stat.ppid,
        relation,
        source: Source::Process,
        name: Text::new(&stat.comm),
        executable: held.link("exe").ok().map(Text::new),
        argv: arguments(command.args, command.is_truncated).0,
        uid: held.status().ok().map(|status| status.uid[1]),
    })
}
