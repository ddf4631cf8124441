//! Records on the ring: what the kernel side wrote, or what is left of it.
//!
//! The bytes are a sequence of records, each after its length in two bytes, the lower one first. Each is tried as it is
//! and then mended: with a header that names a sensor, and as long as that sensor's records are.

use std::sync::OnceLock;

use behaviour::{Builder, Limits};
use event::{Event, Payload, Text};
use sensors::{DecodeError, decode_kept, decode_record};

use crate::laws::{assert_harmless, assert_survives_json};

/// So small that the fuzzer reaches the bounds.
const LIMITS: Limits =
    Limits { processes: 4, programs: 6, text_bytes: 600, images: 4, image_text_bytes: 300, file_text_bytes: 200 };

/// No fixed part of a record is longer.
const MAX_FIXED_BYTES: usize = 4096;

/// Each record is decoded by what it says alone, and a behaviour can be made of whatever was decoded.
pub fn check(bytes: &[u8]) {
    let events: Vec<Event> = records(bytes)
        .filter_map(|record| {
            let _ = check_record(record);
            check_record(&mended(record)).ok()
        })
        .collect();

    let mut builder = Builder::new(LIMITS);
    for event in &events {
        builder.observe(event);
        builder.freeze();
    }
    for record in records(bytes) {
        let mended = mended(record);
        for kept in decode_kept(record).into_iter().chain(decode_kept(&mended)).flatten() {
            builder.keep(&kept, u64::from(kept.run.slot));
        }
    }
    let behaviour = builder.freeze();
    assert_eq!(builder.freeze(), behaviour);
    assert_survives_json(&behaviour);
    let tree = &behaviour.processes;
    assert!(tree.processes.len() <= LIMITS.processes);
    assert!(tree.processes.iter().map(|process| process.programs.len()).sum::<usize>() <= LIMITS.programs);
    assert!(tree.processes.len() as u64 <= tree.total && tree.total <= tree.total_threads);
    assert!(tree.processes.is_sorted_by_key(|process| (process.id.start_ns, process.id.pid)));
}

/// The last record may be shorter than it says.
fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (record, tail) = after.split_at(usize::from(u16::from_le_bytes(*length)).min(after.len()));
        rest = tail;
        Some(record)
    })
}

/// Where a record's header says what it is.
struct Header {
    sensor: usize,
    kind: usize,
    phase: usize,
}

impl Header {
    /// The layout is the kernel side's, so the decoder is asked: by which byte does it refuse a record?
    fn get() -> &'static Header {
        static HEADER: OnceLock<Header> = OnceLock::new();
        let place = |refused: DecodeError| {
            let mut places = (0..MAX_FIXED_BYTES).filter(|at| {
                let mut record = vec![0; MAX_FIXED_BYTES];
                record[*at] = u8::MAX;
                decode_record(&record).as_ref() == Err(&refused)
            });
            places.next().unwrap_or_else(|| panic!("no byte of the header leads to: {refused}"))
        };
        HEADER.get_or_init(|| Header {
            sensor: place(DecodeError::UnknownSensor(u8::MAX)),
            kind: place(DecodeError::UnknownKind(u8::MAX)),
            phase: place(DecodeError::UnknownPhase(u8::MAX)),
        })
    }
}

/// The record with numbers in its header that mean something most of the time, and zeros where it was cut.
fn mended(record: &[u8]) -> Vec<u8> {
    let header = Header::get();
    let mut record = record.to_vec();
    for (at, known) in [(header.sensor, sensors::sensor_names().count()), (header.kind, 8), (header.phase, 3)] {
        if record.len() <= at {
            record.resize(at + 1, 0);
        }
        record[at] %= u8::try_from(known).unwrap_or(u8::MAX);
    }
    while let Err(DecodeError::TooShort { needed, .. }) = decode_record(&record) {
        if needed > MAX_FIXED_BYTES {
            break;
        }
        record.resize(needed.max(record.len() + 1), 0);
    }
    record
}

fn check_record(record: &[u8]) -> Result<Event, DecodeError> {
    let decoded = decode_record(record);

    // The ring's records have a length that is rounded up: what lies behind one changes nothing.
    let longer = [record, &[0xa5; 9]].concat();
    match &decoded {
        Ok(event) => {
            assert_eq!(decode_record(&longer).as_ref(), Ok(event));
            assert_survives_json(&as_written(event));
            assert!(
                text_bytes(event) <= record.len() + 64,
                "{} bytes of text out of {}",
                text_bytes(event),
                record.len()
            );
        }
        Err(DecodeError::TooShort { got, needed }) => assert!(*got == record.len() && needed > got),
        Err(error) => {
            assert_eq!(decode_record(&longer).as_ref(), Err(error));
            assert_harmless(&error.to_string(), "");
        }
    }

    // One that was cut is noticed, or nothing of it was missing.
    for cut in [record.len() / 2, record.len().saturating_sub(1)] {
        let part = decode_record(&record[..cut]);
        assert!(part == decoded || matches!(part, Err(DecodeError::TooShort { .. })), "{part:?} at {cut}, {decoded:?}");
    }
    decoded
}

/// The event without what JSON never has: what was typed or shown at a terminal.
fn as_written(event: &Event) -> Event {
    let mut event = event.clone();
    if let Payload::TerminalText(terminal) = &mut event.payload {
        terminal.text = Text::default();
    }
    event
}

/// How much text there is in an event: no more than its record can hold.
fn text_bytes(event: &Event) -> usize {
    let of_payload = match &event.payload {
        Payload::Exec(exec) => {
            let paths = [&exec.executable, &exec.argument, &exec.interpreter, &exec.cwd];
            paths.into_iter().chain(&exec.argv).map(|text| text.as_bytes().len()).sum()
        }
        Payload::ContainerCreated(created) => created.path.as_bytes().len(),
        Payload::TerminalText(terminal) => terminal.text.as_bytes().len(),
        _ => 0,
    };
    event.task.comm.as_bytes().len() + of_payload
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_seed_has_a_record_of_the_kind_that_it_is_named_after() {
        for seed in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/ring_records")).expect("seeds") {
            let seed = seed.expect("a seed").path();
            let name = seed.file_name().expect("a name").to_string_lossy().into_owned();
            let bytes = std::fs::read(&seed).expect("a file");
            let kinds: Vec<_> = records(&bytes).map(|it| decode_record(it).map(|event| event.payload.kind())).collect();

            assert!(kinds.iter().all(Result::is_ok), "{name}: {kinds:?}");
            assert!(name == "session" || kinds.contains(&Ok(name.as_str())), "{name}: {kinds:?}");
        }
    }

    #[test]
    fn every_kind_of_event_can_be_made_from_any_bytes() {
        let header = Header::get();
        let mut kinds = BTreeSet::new();
        for sensor in 0..u8::try_from(sensors::sensor_names().count()).expect("few sensors") {
            for kind in 0..8 {
                let mut record = vec![0; 64];
                (record[header.sensor], record[header.kind]) = (sensor, kind);

                kinds.extend(decode_record(&mended(&record)).map(|event| event.payload.kind()));
            }
        }

        let always =
            ["container_created", "container_ended", "container_started", "exec", "exit", "fork", "task_entered"];
        assert!(always.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    }
}
