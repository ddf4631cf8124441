//! `ringfence block --via`: what an engine can deny by itself at a container's next start.

use std::path::Path;
use std::process::ExitCode;

use ::enforce::Policy;
use ::recommend::AtStart;
use anyhow::bail;
use clap::ValueEnum;

use super::note;
use crate::exit;
use crate::recommend::write;
use crate::streams::print;

/// By what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// Flags of `docker run` and `podman run`; if some call is denied, also a profile, which is written to --out.
    Docker,
    /// Docker's default seccomp profile without what is denied.
    Seccomp,
}

pub(super) fn run(via: Via, policy: &Policy, out: Option<&Path>) -> anyhow::Result<ExitCode> {
    let refusals = refusals(policy);
    if !refusals.is_empty() {
        for refusal in refusals {
            note(&refusal);
        }
        return Ok(ExitCode::from(exit::REFUSED));
    }
    let asked = AtStart {
        capabilities: policy.capability.iter().copied().collect(),
        mount: policy.mount,
        ptrace: policy.ptrace,
        module: policy.module,
        connect: !policy.connect.is_empty(),
        listen: !policy.listen.is_empty(),
    };
    let has_profile = !asked.calls().is_empty();
    match via {
        Via::Docker => {
            if has_profile && out.is_none() {
                bail!("this needs a seccomp profile as a file: say where with --out FILE");
            }
            if !has_profile && out.is_some() {
                bail!("this needs no seccomp profile: leave --out away");
            }
            let path = out.map(std::path::absolute).transpose()?;
            let path = path.as_deref().map(|path| {
                path.to_str().ok_or_else(|| anyhow::anyhow!("docker takes only UTF-8: {}", path.display()))
            });
            let path = path.transpose()?;
            if let Some(path) = out {
                write(path, &asked.profile())?;
            }
            print(&(asked.flags(path) + "\n"))?;
        }
        Via::Seccomp => {
            if !policy.capability.is_empty() {
                bail!("a seccomp profile says nothing of capabilities: use --via docker");
            }
            match out {
                Some(path) => write(path, &asked.profile())?,
                None => print(asked.profile())?,
            }
        }
    }
    note(
        "in force from the next start on, in containers that are started so; nothing is blocked now, and no denial is told",
    );
    if has_profile {
        note("the rest of the profile is Docker's default: one that the container has now is replaced");
    }
    if let Some(excess) = asked.excess() {
        note(&format!("denied, too: {excess}"));
    }
    for gap in asked.gaps() {
        note(&format!("not covered: {gap}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Why an engine cannot do what is asked for.
fn refusals(policy: &Policy) -> Vec<String> {
    let mut refusals = Vec::new();
    for program in &policy.exec {
        refusals.push(format!(
            "{} cannot be denied so: a filter sees that something is executed, and not which file; block it without --via",
            program.as_str()
        ));
    }
    for hash in &policy.hash {
        refusals.push(format!("{hash} cannot be denied so: a filter sees no file; block it without --via"));
    }
    if policy.image_binaries_only {
        refusals.push(
            "what came with the image cannot be told so: block it without --via, or start with --read-only".into(),
        );
    }
    for rule in &policy.file {
        refusals.push(format!("{rule} cannot be denied so: a filter sees no path; block it without --via"));
    }
    for peer in policy.connect.iter().cloned().map(String::from).filter(|peer| peer != "*") {
        refusals.push(format!(
            "connecting to {peer} alone cannot be denied so: a filter sees no address; --connect '*' denies all, or block it without --via"
        ));
    }
    for port in policy.listen.iter().map(|port| String::from(*port)).filter(|port| port != "*") {
        refusals.push(format!(
            "listening on {port} alone cannot be denied so: a filter sees no port; --listen '*' denies all, or block it without --via"
        ));
    }
    refusals
}
