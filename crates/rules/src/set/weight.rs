//! What it costs to ask a part of a condition, and how often the answer is yes: guesses, by which parts are put in order.

use crate::eval::{Check, Test};
use crate::falco::Direct;
use crate::operator::Operator;

/// Of one part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    /// About how long it takes, in nanoseconds.
    pub(super) cost: f32,
    /// In which share of events it holds.
    pub(super) share: f32,
}

impl Weight {
    /// What is known without asking.
    pub(super) fn of_constant(value: bool) -> Weight {
        Weight { cost: 0.5, share: if value { 1.0 } else { 0.0 } }
    }

    pub(super) fn not(self) -> Weight {
        Weight { cost: self.cost + 1.0, share: 1.0 - self.share }
    }

    pub(super) fn of_check(check: &Check) -> Weight {
        let (compare, share) = match &check.test {
            Test::Exists => (1.0, 0.9),
            Test::Never => (1.0, 0.0),
            Test::Number(Operator::Equal, _) => (1.0, 0.03),
            Test::Number(Operator::NotEqual, _) => (1.0, 0.97),
            Test::Number(..) => (1.0, 0.5),
            Test::Numbers(_) => (8.0, 0.2),
            Test::Bool(value) => (1.0, if *value == is_mostly(check) { 0.95 } else { 0.05 }),
            Test::Is(_) => (3.0, 0.03),
            Test::IsNot(_) => (3.0, 0.97),
            Test::OneOf(texts) => (6.0, (texts.len() as f32 * 0.01).min(0.3)),
            Test::Contains(_) => (25.0, 0.03),
            Test::ContainsInAnyCase(_) => (40.0, 0.03),
            Test::StartsWith(_) => (4.0, 0.1),
            Test::EndsWith(_) => (4.0, 0.05),
            Test::Glob(_) => (40.0, 0.05),
            Test::Below(paths) => (15.0 * paths.len() as f32, 0.1),
            Test::Regex(_) => (300.0, 0.05),
            Test::Networks(networks, _) => (4.0 * networks.len() as f32, 0.3),
            Test::Field(..) => (150.0, 0.1),
        };
        let pick = check.left.field.direct().map_or(60.0, |(direct, _)| picking(direct));
        let transform = 30.0 * check.left.transformers.len() as f32;
        Weight { cost: pick + compare + transform, share }
    }

    /// Of parts that are asked in this order until one decides: a no if all must hold, else a yes.
    pub(super) fn of_parts(of_all: bool, parts: impl Iterator<Item = Weight>) -> Weight {
        let mut whole = Weight { cost: 2.0, share: 1.0 };
        for part in parts {
            // `share` is that of the events in which nothing was decided yet.
            whole.cost += whole.share * (part.cost + 1.0);
            whole.share *= if of_all { part.share } else { 1.0 - part.share };
        }
        Weight { share: if of_all { whole.share } else { 1.0 - whole.share }, ..whole }
    }

    /// The lower, the earlier it is to be asked.
    pub(super) fn rank(self, of_all: bool) -> f32 {
        let decides = if of_all { 1.0 - self.share } else { self.share };
        self.cost / decides.max(0.001)
    }
}

/// What a truth value is nearly always.
fn is_mostly(check: &Check) -> bool {
    let direct = check.left.field.direct();
    matches!(direct, Some((Direct::EvtIsOpenRead | Direct::ThreadIsMain | Direct::FdConnected, _)))
}

/// How long it takes to have the value.
fn picking(direct: Direct) -> f32 {
    match direct {
        Direct::ProcName | Direct::ProcPid | Direct::ProcExe | Direct::EvtFailed | Direct::EvtRawres => 2.0,
        Direct::ProcPname
        | Direct::FdName
        | Direct::FdDirectory
        | Direct::FdFilename
        | Direct::FdTypechar
        | Direct::FdNum
        | Direct::EvtIsOpenRead
        | Direct::EvtIsOpenWrite => 5.0,
        Direct::ProcArgs | Direct::ProcCmdline => 8.0,
        Direct::ProcAname
        | Direct::ProcAexe
        | Direct::ProcAexepath
        | Direct::ProcApid
        | Direct::FdIp
        | Direct::FdNet
        | Direct::FdSip
        | Direct::FdCip
        | Direct::FdLip
        | Direct::FdRip => 40.0,
        Direct::ProcAcmdline | Direct::ProcPcmdline | Direct::EvtArgs | Direct::EvtArg | Direct::ContainerMount => 80.0,
        // The container's files are read for them.
        Direct::UserName
        | Direct::UserLoginname
        | Direct::GroupName
        | Direct::FdCipName
        | Direct::FdSipName
        | Direct::FdLipName
        | Direct::FdRipName => 2000.0,
        _ => 12.0,
    }
}
