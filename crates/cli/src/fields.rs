//! `ringfence fields`.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use report::{Column, Fit, Style, lay_out};
use rules::{Field, markdown, markdown_table, registry};
use serde::Serialize;

use crate::report::{terminal_width, wants_colour};
use crate::streams::print;

/// Show the names that conditions know.
///
/// A field is a name, a type and what it means: `ringfence watch 'exec.cwd startswith /tmp'`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence fields                     all of them
  ringfence fields exec                those of programs that are run
  ringfence fields --format json       for programs, with examples
  ringfence fields --format markdown   the page docs/fields.md")]
pub(crate) struct FieldsArgs {
    /// Only those whose names begin so.
    #[arg(value_name = "PREFIX", default_value = "", hide_default_value = true)]
    prefix: String,

    /// How to show them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal.
    Table,
    /// A list of objects.
    Json,
    /// For a document.
    Markdown,
}

/// A field for programs.
#[derive(Serialize)]
struct Described<'f> {
    name: &'f str,
    /// `number`, `text` or `bool`; of a list, that of its elements.
    r#type: rules::Type,
    list: bool,
    /// What it can be; empty if that is not a short list.
    values: &'f [String],
    doc: &'f str,
    example: &'f str,
}

impl<'f> Described<'f> {
    fn new(field: &'f Field) -> Described<'f> {
        Described {
            name: &field.name,
            r#type: field.of,
            list: field.is_list,
            values: &field.values,
            doc: &field.doc,
            example: &field.example,
        }
    }
}

pub(crate) fn run(args: &FieldsArgs) -> anyhow::Result<ExitCode> {
    let fields: Vec<&Field> = registry().beginning_with(&args.prefix).collect();
    if fields.is_empty() {
        let meant = registry().similar(&args.prefix).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        anyhow::bail!("no field begins with `{}`{meant}", args.prefix);
    }
    let output = match args.format {
        Format::Table => table(&fields),
        Format::Json => {
            let described: Vec<Described<'_>> = fields.iter().map(|field| Described::new(field)).collect();
            serde_json::to_string_pretty(&described).context("cannot write JSON")? + "\n"
        }
        Format::Markdown if args.prefix.is_empty() => markdown(),
        Format::Markdown => markdown_table(fields.into_iter()),
    };
    print(output)?;
    Ok(ExitCode::SUCCESS)
}

fn table(fields: &[&Field]) -> String {
    let columns = [
        ("FIELD", Fit::Left, Style::Label),
        ("TYPE", Fit::Left, Style::Plain),
        ("WHAT IT IS", Fit::CutEnd, Style::Plain),
    ]
    .map(|(title, fit, style)| Column { title, fit, style });
    let row = |field: &&Field| vec![field.name.clone(), field.type_name().to_owned(), field.doc.clone()];
    let rows: Vec<Vec<String>> = fields.iter().map(row).collect();
    // In a file nothing is cut.
    let is_cut = io::stdout().is_terminal() || std::env::var_os("COLUMNS").is_some();
    let width = if is_cut { terminal_width() } else { usize::MAX };
    lay_out(&columns, &rows, width, wants_colour()).into_iter().flat_map(|line| [line, "\n".into()]).collect()
}
