//! A workload recorded without any filter, and started again under what is recommended for it.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::machine::unique_name;
use crate::overlay::Overlay;
use crate::recorder::{Recorder, Recording, ringfence};
use crate::reports::{Report, list};
use crate::runtime::Runtime;
use crate::workloads::{self, Workload};

/// How many starts the recommendation is derived from: what only some show is in the base sets, not in luck.
const RECORDED: usize = 2;
const LIMIT: Duration = Duration::from_secs(30);

/// How a bare container is started.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// `runc` or `crun`.
    pub runtime: &'static str,
    /// Whether programs may gain rights.
    pub no_new_privileges: bool,
    /// The user that the workload runs as.
    pub uid: u32,
}

/// What is recommended for a workload.
#[derive(Clone, Debug)]
pub struct Recommended {
    /// The seccomp profile.
    pub profile: Value,
    /// The names of the capabilities that are added.
    pub capabilities: Vec<String>,
}

impl Recommended {
    /// What `ringfence recommend` makes of these reports.
    pub fn from(reports: &[&Report]) -> Result<Recommended> {
        let files = || reports.iter().map(|report| report.path.clone().into_os_string());
        let run = |more: [&str; 2]| -> Result<Value> {
            let args: Vec<OsString> =
                ["recommend".into()].into_iter().chain(files()).chain(more.map(Into::into)).collect();
            let finished = ringfence(&args, LIMIT)?;
            ensure!(finished.status.success(), "{args:?}: {}", finished.stderr());
            serde_json::from_slice(&finished.stdout).context("JSON")
        };
        let recommendation = run(["--format", "json"])?;
        let added = list(&recommendation["capabilities"]["add"]).iter();
        let capabilities = added.map(|need| need["capability"].as_str().unwrap_or_default().to_owned()).collect();
        Ok(Recommended { profile: run(["--target", "seccomp"])?, capabilities })
    }

    /// Takes one call out of those that are allowed: it is denied as others are.
    pub fn without(&self, call: &str) -> Result<Recommended> {
        let mut less = self.clone();
        let rules = less.profile["syscalls"].as_array_mut().context("rules")?;
        let mut found = false;
        for rule in rules.iter_mut().filter(|rule| rule["action"] == "SCMP_ACT_ALLOW") {
            let names = rule["names"].as_array_mut().context("names")?;
            let before = names.len();
            names.retain(|name| name != call);
            found |= names.len() < before;
        }
        ensure!(found, "{call} is not allowed anyway");
        rules.push(json!({"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}));
        Ok(less)
    }
}

/// A workload that is started again and again in the same way.
#[derive(Debug)]
pub struct Started {
    workload: Workload,
    overlay: Overlay,
    setting: Setting,
}

impl Started {
    /// A workload by its name.
    pub fn new(workload: &'static str, setting: Setting) -> Result<Started> {
        let workload = Workload::new(workload)?;
        let overlay = Overlay::above(&workload.rootfs()?.folder)?;
        Ok(Started { workload, overlay, setting })
    }

    /// What it is recommended, from runs without any filter.
    pub fn recommended(&self) -> Result<Recommended> {
        let runs = self.runs(None, RECORDED)?;
        Recommended::from(&runs.reports()?)
    }

    /// Starts it so often, one after another, under a recommendation or without any filter. Each must do its work, end as
    /// one without a filter does, and be refused nothing.
    pub fn must_work(&self, under: &Recommended, starts: usize) -> Result<()> {
        let plain = self.runs(None, 1)?;
        let expected = &plain.reports()?[0].json["window"]["exit"];
        let runs = self.runs(Some(under), starts)?;
        for (report, says) in runs.reports()?.into_iter().zip(&runs.stderr) {
            let name = report.path.display();
            let exit = &report.json["window"]["exit"];
            let refused = refused(report)?.join(", ");
            ensure!(exit == expected, "{name}: {exit}, not {expected}; refused: {refused}; it says: {says}");
            ensure!(refused.is_empty(), "{name}: refused: {refused}; it says: {says}");
        }
        Ok(())
    }

    /// Starts it so often, one after another, under a recommendation or without any filter.
    pub fn runs(&self, under: Option<&Recommended>, starts: usize) -> Result<Runs> {
        let recorder = Recorder::start(&["--all"])?;
        let runtime = Runtime::new(self.setting.runtime)?;
        let (mut ids, mut stderr) = (Vec::new(), Vec::new());
        for _ in 0..starts {
            let bundle = self.bundle(under)?;
            let id = unique_name("rf-e2e");
            let container = runtime.create(&bundle, &id)?;
            container.start()?;
            let says = || format!("the container says: {}", container.stderr());
            self.workload.drive(container.pid()).with_context(says)?;
            container.wait(workloads::LIMIT)?;
            stderr.push(container.stderr());
            container.delete()?;
            ids.push(id);
        }
        Ok(Runs { recording: recorder.stop()?, ids, stderr })
    }

    fn bundle(&self, under: Option<&Recommended>) -> Result<Bundle> {
        let Setting { no_new_privileges, uid, .. } = self.setting;
        let bundle = Bundle::new(&self.overlay.root(), &self.workload.args)?;
        Ok(bundle.bind(self.workload.folder(), workloads::INSIDE).change(|config| {
            config["process"]["user"] = json!({"uid": uid, "gid": uid});
            config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            if let Some(Recommended { profile, capabilities }) = under {
                config["linux"]["seccomp"] = profile.clone();
                for set in ["bounding", "effective", "permitted"] {
                    config["process"]["capabilities"][set] = json!(capabilities);
                }
            }
        }))
    }
}

/// Starts that were recorded.
#[derive(Debug)]
pub struct Runs {
    recording: Recording,
    ids: Vec<String>,
    /// What each wrote to standard error.
    pub stderr: Vec<String>,
}

impl Runs {
    /// Their reports, in the order of the starts; each must be complete.
    pub fn reports(&self) -> Result<Vec<&Report>> {
        let report = |id: &String| {
            let report = self.recording.of(id)?;
            report.must_be_complete().map(|()| report)
        };
        self.ids.iter().map(report).collect()
    }
}

/// The calls that were refused before they were entered, with the errno.
pub fn refused(report: &Report) -> Result<Vec<String>> {
    let entries = report.syscalls()?.into_iter();
    let refused = entries.filter(|entry| entry.refused > 0);
    Ok(refused.map(|entry| format!("{} in {} {:?}", entry.name, entry.phase, entry.failures)).collect())
}
