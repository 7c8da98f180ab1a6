//! Listing a bucket quickly: several ranges of its names at once, given out in the names' order.
//!
//! Decides which range is asked for next and how much may wait to be given out, so that memory does not grow with the
//! bucket. A page that fails is asked for again; a listing that failed for good tells the name it reached, and can be
//! begun again after it. Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/list>.

mod part;
mod split;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::JoinSet;

use self::part::{Part, State};
use self::split::Alphabet;
use crate::gcs::{Client, Credential, Depth, Error, ListPage, ListRequest, Listed};
use crate::object::{BucketName, ObjectPrefix, ProjectId};

/// Pages, or other objects, asked for at once, if GCS may be asked so much.
pub const IN_FLIGHT: usize = 16;
/// Pages that may wait to be given out or be under way; the part that is given out now is always asked for.
const WAITING: usize = 64;
/// Parts that a name space is cut into at once.
const MAX_PARTS: usize = 4096;

/// What is listed, and with what.
#[derive(Clone, Debug)]
pub struct Place {
    /// How GCS is asked.
    pub client: Client,
    /// As whom.
    pub credential: Credential,
    /// The bucket.
    pub bucket: BucketName,
    /// What the names begin with.
    pub prefix: ObjectPrefix,
    /// How deep.
    pub depth: Depth,
    /// The project that pays.
    pub project: Option<ProjectId>,
    /// Requests under way at once; at least one.
    pub in_flight: usize,
    /// How long to go on with a page that fails.
    pub patience: Patience,
}

/// How often a page is asked for again, after the client has given up on it.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often.
    pub retries: u32,
    /// The first wait; it doubles with each.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { retries: 6, base: Duration::from_secs(1), cap: Duration::from_secs(30) }
    }
}

/// Why a listing ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("the listing ended early{}", reached.as_ref().map(|name| format!(", after {name:?}")).unwrap_or_default())]
pub struct ListingError {
    /// The last name that was given out; a new listing may begin after it.
    pub reached: Option<String>,
    /// What happened.
    #[source]
    pub source: Error,
}

/// A listing under way. Must be used inside a tokio runtime; dropped, it ends its requests.
#[derive(Debug)]
pub struct Listing {
    place: Place,
    parts: VecDeque<Part>,
    flights: JoinSet<(u64, Result<ListPage, Error>)>,
    alphabet: Alphabet,
    /// Pages that wait to be given out.
    waiting: usize,
    next_id: u64,
    reached: Option<String>,
}

impl Listing {
    /// A listing of everything, or of what follows a name.
    pub fn new(place: Place, after: Option<String>) -> Self {
        let whole = Part { start: after.clone(), after, ..Part::new(0) };
        Self {
            place,
            parts: VecDeque::from([whole]),
            flights: JoinSet::new(),
            alphabet: Alphabet::default(),
            waiting: 0,
            next_id: 1,
            reached: None,
        }
    }

    /// The next objects, in the order of their names; `None` after the last. May be dropped and called again.
    pub async fn next(&mut self) -> Result<Option<Vec<Listed>>, ListingError> {
        while let Some(landed) = self.flights.try_join_next() {
            self.land(landed)?;
        }
        loop {
            self.launch();
            if let Some(page) = self.take() {
                self.reached = page.last().map(|object| object.name.clone());
                self.launch();
                return Ok(Some(page));
            }
            match self.flights.join_next().await {
                Some(landed) => self.land(landed)?,
                None => return Ok(None),
            }
        }
    }

    /// The first page that waits, if nothing before it is missing.
    fn take(&mut self) -> Option<Vec<Listed>> {
        while let Some(head) = self.parts.front_mut() {
            if let Some(page) = head.pages.pop_front() {
                self.waiting -= 1;
                if page.is_empty() {
                    continue;
                }
                return Some(page);
            }
            if head.state != State::Done {
                return None;
            }
            self.parts.pop_front();
        }
        None
    }

    /// Asks for pages, the earliest names first, as far as the bounds allow.
    fn launch(&mut self) {
        for (at, part) in self.parts.iter_mut().enumerate() {
            let room = at == 0 || self.waiting + self.flights.len() < WAITING;
            if self.flights.len() >= self.place.in_flight.max(1) || !room {
                return;
            }
            if part.wants_a_page() {
                part.state = State::UnderWay;
                let (place, request, id) = (self.place.clone(), part.request(&self.place), part.id);
                self.flights.spawn(async move { (id, place.page(request).await) });
            }
        }
    }

    /// Puts a page where it belongs, and cuts up what is left of its part.
    fn land(
        &mut self,
        landed: Result<(u64, Result<ListPage, Error>), tokio::task::JoinError>,
    ) -> Result<(), ListingError> {
        let (id, page) = landed.map_err(|error| self.failed(Error::Protocol(format!("a page was lost: {error}"))))?;
        let page = page.map_err(|error| self.failed(error))?;
        let Some(at) = self.parts.iter().position(|part| part.id == id) else { return Ok(()) };
        let part = &mut self.parts[at];
        if !part.holds(&page) {
            let what = "a listing out of order, or outside the range asked for".to_owned();
            return Err(self.failed(Error::Protocol(what)));
        }
        self.alphabet.learn(page.items.iter().map(|object| object.name.as_str()));
        self.waiting += 1;
        let rest = part.land(page, &self.alphabet);
        if self.parts.len() + rest.len() <= MAX_PARTS {
            self.insert(at + 1, rest);
        } else {
            self.insert(at + 1, part::whole(rest));
        }
        Ok(())
    }

    fn insert(&mut self, at: usize, rest: Vec<Part>) {
        for (offset, mut part) in rest.into_iter().enumerate() {
            part.id = self.next_id;
            self.next_id += 1;
            self.parts.insert(at + offset, part);
        }
    }

    fn failed(&self, source: Error) -> ListingError {
        ListingError { reached: self.reached.clone(), source }
    }
}

impl Place {
    /// One page, asked for again as long as patience lasts.
    async fn page(&self, request: ListRequest) -> Result<ListPage, Error> {
        let mut done = 0;
        loop {
            let error = match self.client.list(&self.credential, request.clone()).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            if done >= self.patience.retries || !may_pass(&error) {
                return Err(error);
            }
            let bound = self.patience.base.saturating_mul(1 << done.min(16)).min(self.patience.cap);
            tokio::time::sleep(bound.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            done += 1;
        }
    }
}

/// Whether the error is of a kind that waiting may cure.
fn may_pass(error: &Error) -> bool {
    matches!(
        error,
        Error::Connect { .. }
            | Error::Broken(_)
            | Error::EndedEarly { .. }
            | Error::FirstByteTimeout(_)
            | Error::Stalled(_)
            | Error::Overloaded { .. }
            | Error::Throttled { .. }
            | Error::Unavailable { .. }
    )
}
