//! Reports for people: tables, Markdown and CSV.
//!
//! `facts`, `tree`, `calls` and `checks` say what is shown, once; `table`, `markdown` and `csv` say how.

mod calls;
mod checks;
mod columns;
mod csv;
mod facts;
mod files;
mod markdown;
mod signal;
mod style;
mod table;
mod tree;
mod units;
mod width;

pub use columns::{Column, Fit, lay_out};
pub use csv::csv;
pub use facts::{quoted, short_id};
pub use markdown::markdown;
pub use signal::name as signal_name;
pub use style::Style;
pub use table::{TableOptions, table};
pub use tree::program_line;
pub use units::duration;
pub use width::{cut, width, wrap};
