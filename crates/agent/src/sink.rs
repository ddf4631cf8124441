//! The file that gets every event, for people who want to look themselves.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use event::Event;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFormat {
    /// One JSON object per line.
    Ndjson,
    /// RFC 4180, with a header line.
    Csv,
}

impl EventFormat {
    /// By the end of the file's name; none if it is neither `.ndjson`, `.jsonl` nor `.csv`.
    pub fn of(path: &Path) -> Option<EventFormat> {
        match path.extension()?.to_str()? {
            "ndjson" | "jsonl" => Some(EventFormat::Ndjson),
            "csv" => Some(EventFormat::Csv),
            _ => None,
        }
    }
}

/// Why events could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write events to {}", path.display())]
pub struct SinkError {
    /// The file.
    path: PathBuf,
    /// What it was.
    source: std::io::Error,
}

/// An open events file.
pub(crate) struct Sink {
    path: PathBuf,
    writer: Writer,
}

enum Writer {
    Ndjson(BufWriter<File>),
    Csv(Box<csv::Writer<File>>),
}

impl Sink {
    pub(crate) fn create(path: &Path, format: EventFormat) -> Result<Sink, SinkError> {
        let failed = |source| SinkError { path: path.to_owned(), source };
        let file = File::create(path).map_err(failed)?;
        let writer = match format {
            EventFormat::Ndjson => Writer::Ndjson(BufWriter::new(file)),
            EventFormat::Csv => {
                let mut writer = csv::Writer::from_writer(file);
                let header = ["boot_ns", "slot", "generation", "phase", "kind", "pid", "tid", "comm", "payload"];
                writer.write_record(header).map_err(|error| failed(std::io::Error::other(error)))?;
                Writer::Csv(Box::new(writer))
            }
        };
        Ok(Sink { path: path.to_owned(), writer })
    }

    pub(crate) fn write(&mut self, event: &Event) -> Result<(), SinkError> {
        let result = match &mut self.writer {
            Writer::Ndjson(writer) => serde_json::to_writer(&mut *writer, event)
                .map_err(std::io::Error::other)
                .and_then(|()| writer.write_all(b"\n")),
            Writer::Csv(writer) => {
                serde_json::to_string(&event.payload).map_err(std::io::Error::other).and_then(|payload| {
                    writer
                        .write_record([
                            &event.boot_ns.to_string(),
                            &event.run.slot.to_string(),
                            &event.run.generation.to_string(),
                            event.phase.name(),
                            event.payload.kind(),
                            &event.task.image.process.pid.to_string(),
                            &event.task.tid.to_string(),
                            &*event.task.comm.escaped(),
                            &payload,
                        ])
                        .map_err(std::io::Error::other)
                })
            }
        };
        result.map_err(|source| SinkError { path: self.path.clone(), source })
    }

    pub(crate) fn flush(&mut self) -> Result<(), SinkError> {
        let result = match &mut self.writer {
            Writer::Ndjson(writer) => writer.flush(),
            Writer::Csv(writer) => writer.flush(),
        };
        result.map_err(|source| SinkError { path: self.path.clone(), source })
    }
}
