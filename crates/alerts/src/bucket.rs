//! How many alerts of one rule in one container are told: some at once, then so many in a time.

/// How many may come at once, and in which time so many more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many at once; at least one.
    pub burst: u32,
    /// In this time, in nanoseconds, so many more.
    pub per_ns: u64,
}

impl Default for Rate {
    /// Twenty in a minute.
    fn default() -> Rate {
        Rate { burst: 20, per_ns: 60_000_000_000 }
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// What is in it, in nanoseconds: a token is worth the time in which one comes.
    level_ns: u64,
    at_ns: u64,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, now_ns: u64) -> Bucket {
        Bucket { level_ns: rate.per_ns.max(1), at_ns: now_ns }
    }

    /// Whether there is a token. A clock that was set back brings none.
    pub(crate) fn has_one(&mut self, rate: Rate, now_ns: u64) -> bool {
        self.level_ns = self.level_ns.saturating_add(now_ns.saturating_sub(self.at_ns)).min(rate.per_ns.max(1));
        self.at_ns = now_ns;
        self.level_ns >= token(rate)
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, rate: Rate, now_ns: u64) -> bool {
        let has_one = self.has_one(rate, now_ns);
        if has_one {
            self.level_ns -= token(rate);
        }
        has_one
    }
}

/// The time in which one comes.
fn token(rate: Rate) -> u64 {
    (rate.per_ns.max(1) / u64::from(rate.burst.max(1))).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_come_at_once_and_then_one_in_each_share_of_the_time() {
        let rate = Rate { burst: 3, per_ns: 300 };
        let mut bucket = Bucket::full(rate, 1000);

        let at_once = (0..10).filter(|_| bucket.take(rate, 1000)).count();
        assert_eq!(at_once, 3);
        assert!(!bucket.take(rate, 1099) && bucket.take(rate, 1101));
        assert!(!bucket.take(rate, 5), "a clock that goes back brings nothing");
        let later = (0..10).filter(|_| bucket.take(rate, 100_000)).count();
        assert_eq!(later, 3, "no more than the bucket holds");
    }
}
