//! What is asked for next.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::content::Object;

/// Which objects are asked for, and what of them.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What stands before an object's name in the path.
    #[arg(long, default_value = "/media/")]
    prefix: String,
    /// Bytes of an object.
    #[arg(long)]
    size: u64,
    /// Asks for so many bytes from anywhere in one object.
    #[arg(long)]
    range: Option<u64>,
    /// Asks for one of so many objects, by Zipf's law.
    #[arg(long, conflicts_with = "range")]
    zipf: Option<u32>,
    /// Asks for so many objects in turn.
    #[arg(long, conflicts_with_all = ["range", "zipf"])]
    rotate: Option<u64>,
}

impl Arguments {
    /// The same, of objects of another size.
    pub(crate) fn of(&self, size: u64) -> Self {
        Self { size, ..self.clone() }
    }
}

/// Which object is next.
#[derive(Debug)]
enum Order {
    /// One that nobody has asked for before.
    Fresh(u64),
    /// A part of the only one.
    Parts(u64),
    /// Each once, then by popularity: the share of all requests that go to the first so many.
    Zipf(Vec<f64>),
    Rotate(u64),
}

#[derive(Debug)]
pub(crate) struct Plan {
    prefix: String,
    size: u64,
    order: Order,
    asked: AtomicU64,
}

/// One request, and what must come.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) object: Object,
    pub(crate) first: u64,
    pub(crate) length: u64,
    pub(crate) request: Vec<u8>,
}

impl Plan {
    pub(crate) fn new(arguments: Arguments) -> Self {
        // Seconds of the clock, so that no run asks for what another made a cache remember.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let order = match arguments {
            Arguments { range: Some(length), .. } => Order::Parts(length),
            Arguments { zipf: Some(objects), .. } => Order::Zipf(shares(objects)),
            Arguments { rotate: Some(objects), .. } => Order::Rotate(objects),
            _ => Order::Fresh(now.as_secs() << 24),
        };
        Self { prefix: arguments.prefix, size: arguments.size, order, asked: AtomicU64::new(0) }
    }

    /// How many requests were made.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How many objects are asked for again and again.
    pub(crate) fn objects(&self) -> Option<u64> {
        match &self.order {
            Order::Zipf(shares) => Some(shares.len() as u64 + 1),
            Order::Rotate(objects) => Some(*objects),
            Order::Fresh(_) | Order::Parts(_) => None,
        }
    }

    pub(crate) fn next(&self, random: &mut fastrand::Rng) -> Ask {
        let turn = self.asked.fetch_add(1, Ordering::Relaxed);
        let (mut first, mut length) = (0, self.size);
        let id = match &self.order {
            Order::Fresh(base) => base + turn,
            Order::Parts(part) => {
                (first, length) = (random.u64(..=self.size - part), *part);
                1
            }
            // There is an object more than there are shares.
            Order::Zipf(shares) if turn <= shares.len() as u64 => turn,
            Order::Zipf(shares) => {
                let draw = random.f64();
                shares.partition_point(|share| *share < draw) as u64
            }
            Order::Rotate(objects) => turn % objects,
        };
        let Self { prefix, size, .. } = self;
        let mut request = format!(
            "GET {prefix}{size}-{id}?alt=media HTTP/1.1\r\nhost: localhost\r\n\
             user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
             accept: image/avif,image/webp,*/*;q=0.8\r\naccept-encoding: gzip, deflate, br\r\n"
        );
        if length < *size {
            let _ = write!(request, "range: bytes={first}-{}\r\n", first + length - 1);
        }
        request.push_str("\r\n");
        Ask { object: Object { size: *size, id }, first, length, request: request.into_bytes() }
    }
}

/// For each of so many objects: the share of requests for it and all that are more popular.
fn shares(objects: u32) -> Vec<f64> {
    let weights = (1..=objects).map(|rank| 1.0 / f64::from(rank));
    let total: f64 = weights.clone().sum();
    let sums = weights.scan(0.0, |sum, weight| {
        *sum += weight / total;
        Some(*sum)
    });
    let mut shares: Vec<f64> = sums.collect();
    // Sums fall short of 1 by a rounding error.
    shares.pop();
    shares
}
