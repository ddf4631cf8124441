//! The ring: samples in, events out.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use event::Event;
use libbpf_rs::{MapHandle, RingBuffer, RingBufferBuilder};

use crate::SENSORS;
use crate::bpf::types::sample_header;
use crate::record::{self, DecodeError};

/// The reader's end of the ring. Make it in the thread that reads it.
pub struct Ring {
    buffer: RingBuffer<'static>,
    batch: Rc<RefCell<Batch>>,
}

/// What was taken from the ring at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// The samples, as events, in the order of the ring.
    pub events: Vec<Event>,
    /// Why others are none.
    pub errors: Vec<DecodeError>,
}

impl Batch {
    /// How many samples it was.
    pub fn samples(&self) -> usize {
        self.events.len() + self.errors.len()
    }
}

impl Ring {
    /// How many samples are decoded before the caller gets them: bounds the memory between two calls.
    pub const BATCH: usize = 4096;

    /// Reads from this ring-buffer map.
    pub fn new(samples: &MapHandle) -> Result<Ring, libbpf_rs::Error> {
        let batch = Rc::new(RefCell::new(Batch::default()));
        let sink = Rc::clone(&batch);
        let mut builder = RingBufferBuilder::new();
        builder.add(samples, move |record| {
            let mut batch = sink.borrow_mut();
            match decode(record) {
                Ok(event) => batch.events.push(event),
                Err(error) => batch.errors.push(error),
            }
            0
        })?;
        Ok(Ring { buffer: builder.build()?, batch })
    }

    /// Waits for samples, at most this long, and takes at most [`Ring::BATCH`] of them.
    pub fn poll(&mut self, timeout: Duration) -> Result<Batch, libbpf_rs::Error> {
        take(&self.buffer, timeout, Ring::BATCH)?;
        // The next one is probably about as long.
        let next = Batch { events: Vec::with_capacity(self.batch.borrow().events.len()), errors: Vec::new() };
        Ok(self.batch.replace(next))
    }
}

/// Waits for records, at most this long, and hands at most so many of them to whom the buffer gives them.
pub(crate) fn take(buffer: &RingBuffer<'_>, timeout: Duration, most: usize) -> Result<(), libbpf_rs::Error> {
    // SAFETY: the descriptor belongs to `buffer` and stays open as long as it, which outlives this call.
    let events = unsafe { std::os::fd::BorrowedFd::borrow_raw(buffer.epoll_fd()) };
    let mut waiting = [rustix::event::PollFd::from_borrowed_fd(events, rustix::event::PollFlags::IN)];
    let timeout = rustix::event::Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    match rustix::event::poll(&mut waiting, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(libbpf_rs::Error::from_raw_os_error(error.raw_os_error())),
    }
    match buffer.consume_raw_n(most) {
        taken if taken < 0 && -taken != libc::EINTR => Err(libbpf_rs::Error::from_raw_os_error(-taken)),
        _ => Ok(()),
    }
}

/// One record -> one event.
pub(crate) fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let header = record::read::<sample_header>(bytes)?;
    let sensor = SENSORS.get(usize::from(header.sensor)).ok_or(DecodeError::UnknownSensor(header.sensor))?;
    Ok(Event {
        boot_ns: header.boot_ns,
        run: record::run(header.slot, header.generation),
        phase: record::phase(header.phase)?,
        task: record::task(&header.task),
        payload: (sensor.decode)(header.kind, bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_numbers_of_the_sensors_are_those_of_the_kernel_side() {
        let header = include_str!(concat!(env!("OUT_DIR"), "/sensors.h"));

        let numbered: Vec<&str> =
            header.lines().filter_map(|line| line.trim().strip_prefix("SENSOR_")?.strip_suffix(',')).collect();

        assert_eq!(numbered, crate::sensor_names().collect::<Vec<_>>());
    }

    #[test]
    fn a_sample_of_an_unknown_sensor_is_refused() {
        let mut record = [0u8; size_of::<sample_header>()];
        record[std::mem::offset_of!(sample_header, sensor)] = 200;

        assert_eq!(decode(&record), Err(DecodeError::UnknownSensor(200)));
    }

    proptest! {
        #[test]
        fn no_record_makes_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn no_body_behind_a_good_header_makes_the_decoder_panic(
            sensor in 0..6u8, kind in 0..6u8, body in prop::collection::vec(any::<u8>(), 0..1024)
        ) {
            let mut bytes = vec![0u8; size_of::<sample_header>()];
            bytes[std::mem::offset_of!(sample_header, sensor)] = sensor;
            bytes[std::mem::offset_of!(sample_header, kind)] = kind;
            bytes.extend(body);
            let _ = decode(&bytes);
        }
    }
}
