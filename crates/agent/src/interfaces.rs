//! What went through the interfaces of a container's network namespace, as /proc shows it while its first process lives.

use behaviour::InterfaceUse;
use containers::proc::{Interface, Namespace, Proc};
use event::Text;

/// The interfaces that one run has, and what there was before it.
#[derive(Default)]
pub(crate) struct Interfaces {
    namespace: u32,
    /// What had gone through them already when they were read first. With a namespace of the container's own, nothing.
    before: Vec<Interface>,
}

impl Interfaces {
    /// Reads them; none if the process is gone. `host` is the namespace that no container has to itself.
    pub(crate) fn read(&mut self, proc: &Proc, pid: u32, host: u32) -> Option<Vec<InterfaceUse>> {
        let namespace = proc.namespace(pid, Namespace::Net).ok().filter(|&number| number != 0)?;
        let now = proc.interfaces(pid).ok()?;
        // Another process may have got the number meanwhile, and the first may have moved.
        if proc.namespace(pid, Namespace::Net).ok() != Some(namespace) {
            return None;
        }
        if self.namespace != namespace {
            self.namespace = namespace;
            self.before = if namespace == host { now.clone() } else { Vec::new() };
        }
        Some(now.iter().map(|interface| self.since(interface)).collect())
    }

    fn since(&self, now: &Interface) -> InterfaceUse {
        let before = self.before.iter().find(|before| before.name == now.name);
        let since = |field: fn(&Interface) -> u64| field(now).saturating_sub(before.map_or(0, field));
        InterfaceUse {
            name: Text::new(&now.name),
            namespace: self.namespace,
            received_bytes: since(|it| it.received_bytes),
            received_packets: since(|it| it.received_packets),
            received_drops: since(|it| it.received_drops),
            sent_bytes: since(|it| it.sent_bytes),
            sent_packets: since(|it| it.sent_packets),
            sent_drops: since(|it| it.sent_drops),
        }
    }
}
