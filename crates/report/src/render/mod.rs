//! Reports for people: tables, Markdown, CSV and HTML.
//!
//! `facts`, `tree`, `calls`, `checks`, `files`, `network` and `privileged` say what is shown, once; `table`, `markdown`, `csv` and `html` say how.

mod arguments;
mod calls;
mod checks;
mod columns;
mod csv;
mod facts;
mod files;
mod html;
mod markdown;
mod network;
mod privileged;
mod resources;
mod scripts;
mod signal;
mod style;
mod table;
mod terminals;
mod tree;
mod units;
mod width;

pub use columns::{Column, Fit, lay_out};
pub use csv::csv;
pub use facts::{quoted, short_id};
pub use html::{Cell, Page, PageSection, PageStyle, code, escaped, html, html_table};
pub use markdown::{escaped as markdown_text, markdown};
pub use network::address_and_port;
pub use signal::name as signal_name;
pub use style::Style;
pub use table::{TableOptions, table};
pub use tree::program_line;
pub use units::{bytes, count, counted, duration};
pub(crate) use width::cut_front;
pub use width::{cut, width, wrap};
