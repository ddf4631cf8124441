//! The ring: samples in, events out.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use event::Event;
use libbpf_rs::{MapHandle, RingBuffer, RingBufferBuilder};

use crate::SENSORS;
use crate::bpf::types::sample_header;
use crate::record::{self, DecodeError};

/// How many samples are decoded before the caller gets them: bounds the memory between two calls.
const BATCH: usize = 4096;

/// The reader's end of the ring. Make it in the thread that reads it.
pub struct Ring {
    buffer: RingBuffer<'static>,
    batch: Rc<RefCell<Vec<Result<Event, DecodeError>>>>,
}

impl Ring {
    /// Reads from this ring-buffer map.
    pub fn new(samples: &MapHandle) -> Result<Ring, libbpf_rs::Error> {
        let batch = Rc::new(RefCell::new(Vec::with_capacity(BATCH)));
        let sink = Rc::clone(&batch);
        let mut builder = RingBufferBuilder::new();
        builder.add(samples, move |record| {
            sink.borrow_mut().push(decode(record));
            0
        })?;
        Ok(Ring { buffer: builder.build()?, batch })
    }

    /// Waits for samples, at most this long, and hands each on as an event or as the reason why it is none.
    pub fn poll(
        &mut self,
        timeout: Duration,
        mut sink: impl FnMut(Result<Event, DecodeError>),
    ) -> Result<usize, libbpf_rs::Error> {
        let mut waiting = [rustix::event::PollFd::from_borrowed_fd(self.epoll_fd(), rustix::event::PollFlags::IN)];
        let timeout = rustix::event::Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        match rustix::event::poll(&mut waiting, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(libbpf_rs::Error::from_raw_os_error(error.raw_os_error())),
        }
        let taken = self.buffer.consume_raw_n(BATCH);
        if taken < 0 && -taken != libc::EINTR {
            return Err(libbpf_rs::Error::from_raw_os_error(-taken));
        }
        let mut batch = self.batch.borrow_mut();
        let count = batch.len();
        batch.drain(..).for_each(&mut sink);
        Ok(count)
    }

    fn epoll_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        // SAFETY: the descriptor belongs to `self.buffer` and stays open as long as it, which outlives the borrow.
        unsafe { std::os::fd::BorrowedFd::borrow_raw(self.buffer.epoll_fd()) }
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
            sensor in 0..4u8, kind in 0..6u8, body in prop::collection::vec(any::<u8>(), 0..1024)
        ) {
            let mut bytes = vec![0u8; size_of::<sample_header>()];
            bytes[std::mem::offset_of!(sample_header, sensor)] = sensor;
            bytes[std::mem::offset_of!(sample_header, kind)] = kind;
            bytes.extend(body);
            let _ = decode(&bytes);
        }
    }
}
