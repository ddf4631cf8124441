//! `ringfence generate`: what shells and `man` want to know of the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Command, Subcommand, ValueEnum};

use crate::streams::print;

/// Write shell completions or man pages.
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  ringfence generate completions bash > /etc/bash_completion.d/ringfence
  ringfence generate completions zsh  > /usr/local/share/zsh/site-functions/_ringfence
  ringfence generate completions fish > ~/.config/fish/completions/ringfence.fish
  ringfence generate man /usr/local/share/man/man1      one page for each command
  ringfence generate man | man -l -                     the main page, at once")]
pub(crate) enum Generate {
    /// Print what makes a shell complete our commands and options.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the man pages of all commands into a folder, or print the main one.
    Man {
        /// The folder; it must be there.
        dir: Option<PathBuf>,
    },
}

/// A shell that we write completions for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// Fish.
    Fish,
}

pub(crate) fn run(what: &Generate, command: &Command) -> anyhow::Result<ExitCode> {
    let command = without_hidden(command);
    match what {
        Generate::Completions { shell } => print(completions(*shell, command))?,
        Generate::Man { dir: None } => print(&page(command)?)?,
        Generate::Man { dir: Some(dir) } => {
            for (name, page) in pages(command)? {
                let path = dir.join(name);
                std::fs::write(&path, page)
                    .with_context(|| format!("cannot write {}: give a folder that is there", path.display()))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The command line as people know it.
fn without_hidden(command: &Command) -> Command {
    let shown = Command::new("ringfence")
        .version(env!("CARGO_PKG_VERSION"))
        .about(command.get_about().cloned().unwrap_or_default())
        .after_help(command.get_after_help().cloned().unwrap_or_default())
        .subcommand_required(true)
        .args(command.get_arguments());
    shown.subcommands(command.get_subcommands().filter(|below| !below.is_hide_set()))
}

fn completions(shell: Shell, mut command: Command) -> Vec<u8> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "ringfence", &mut script);
    script
}

fn page(command: Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).context("cannot write a man page")?;
    Ok(page)
}

/// The name of each page's file, and the page: the main command's, and those of all commands below it that are shown.
fn pages(mut command: Command) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    // Gives each command its full name and its usage line, as on the command line.
    command.build();
    let mut pages = Vec::new();
    let mut pending = vec![(command.get_name().to_owned(), command)];
    while let Some((name, command)) = pending.pop() {
        for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
            pending.push((format!("{name}-{}", below.get_name()), below.clone()));
        }
        pages.push((format!("{name}.1"), page(command)?));
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_that_is_shown_has_a_page_and_no_other() {
        let pages = pages(without_hidden(&crate::Cli::command())).expect("pages");

        let mut names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        for name in ["ringfence.1", "ringfence-record.1", "ringfence-doctor.1", "ringfence-generate-man.1"] {
            assert!(names.contains(&name), "{name} is not among {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("become") || name.contains("help")), "{names:?}");
    }

    #[test]
    fn a_page_has_the_name_and_the_options_of_its_command() {
        let pages = pages(without_hidden(&crate::Cli::command())).expect("pages");

        let (_, record) = pages.iter().find(|(name, _)| name == "ringfence-record.1").expect("it has a page");
        let text = String::from_utf8(record.clone()).expect("text");
        assert!(text.contains(".TH ringfence-record 1"), "{text}");
        assert!(text.contains("\\-\\-syscall\\-table"), "{text}");
    }

    #[test]
    fn each_shell_is_told_of_every_command_that_is_shown() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(completions(shell, without_hidden(&crate::Cli::command()))).expect("text");

            for name in ["record", "watch", "report", "map", "fields", "containers", "doctor", "generate"] {
                assert!(script.contains(name), "{shell:?}: {name}");
            }
            for name in ["become-command", "doctor-child"] {
                assert!(!script.contains(name), "{shell:?}: {name}");
            }
        }
    }
}
