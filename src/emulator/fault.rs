//! Scripted faults: which requests they meet, and what happens then.
//!
//! Decides nothing at random: a fault fires on the requests that a test describes, in their order.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, watch};

use super::record::Operation;
use super::state::locked;

/// Something to hold a response at until a test lets it go on.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    permits: Semaphore,
    arrived: watch::Sender<usize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(Inside { permits: Semaphore::new(0), arrived: watch::Sender::new(0) }))
    }

    /// Lets everyone pass, now and later.
    pub fn open(&self) {
        self.0.permits.close();
    }

    /// Lets `count` more pass.
    pub fn release(&self, count: usize) {
        self.0.permits.add_permits(count);
    }

    /// Waits until at least `count` have come to the gate, since it was made.
    pub async fn reached(&self, count: usize) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.0.arrived.subscribe().wait_for(|arrived| *arrived >= count).await;
    }

    /// Comes to the gate and waits for its turn.
    pub(super) fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let inside = Arc::clone(&self.0);
        Box::pin(async move {
            inside.arrived.send_modify(|arrived| *arrived += 1);
            if let Ok(permit) = inside.permits.acquire().await {
                permit.forget();
            }
        })
    }
}

/// What a fault does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Answers with this instead.
    Status {
        /// The status.
        code: u16,
        /// Headers, such as `Retry-After`.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Holds the head of the answer back.
    Delay(Gate),
    /// Resets the connection (RST); the client may miss bytes sent just before.
    Reset,
    /// Closes the connection in an orderly way (FIN).
    Close,
    /// Falls silent until released, or until the connection ends.
    Stall(Gate),
    /// Sends the body in pieces of so many bytes, each once the gate lets it pass.
    Dribble {
        /// Bytes a piece.
        piece: usize,
        /// One permit a piece.
        gate: Gate,
    },
    /// Flips the bits of the byte at the fault's offset.
    Corrupt,
    /// Ends the body at the fault's offset as if it were complete, with a `Content-Length` to match.
    Truncate,
    /// Replaces a header of the answer: a wrong `Content-Length`, `Content-Range`, `x-goog-generation`, …
    Header {
        /// The header's name.
        name: String,
        /// Its value; `None` drops the header.
        value: Option<String>,
    },
}

impl Action {
    /// A status with no headers and GCS's kind of text.
    pub fn status(code: u16) -> Self {
        let body = format!("Scripted answer {code}.");
        Self::Status { code, headers: Vec::new(), body }
    }

    /// A status with `Retry-After`, in seconds.
    pub fn retry_after(code: u16, seconds: u64) -> Self {
        let headers = vec![("retry-after".to_owned(), seconds.to_string())];
        Self::Status { code, headers, body: format!("Scripted answer {code}.") }
    }

    /// A redirect.
    pub fn redirect(location: impl Into<String>) -> Self {
        Self::Status { code: 302, headers: vec![("location".to_owned(), location.into())], body: String::new() }
    }

    /// A wrong header.
    pub fn header(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Header { name: name.into(), value: Some(value.into()) }
    }

    /// A wrong `Content-Length`. Larger than the body: the connection closes early; smaller: the body is cut.
    pub fn content_length(length: u64) -> Self {
        Self::header("content-length", length.to_string())
    }
}

/// A scripted fault. Made by [`Fault::new`], it meets the next request of any kind, once, before the answer's head.
#[derive(Clone, Debug)]
pub struct Fault {
    operation: Option<Operation>,
    object: Option<String>,
    after_bytes: Option<u64>,
    action: Action,
    times: Option<u64>,
    skip: u64,
    every: u64,
}

impl Fault {
    /// A fault that meets the next request.
    pub fn new(action: Action) -> Self {
        Self { operation: None, object: None, after_bytes: None, action, times: Some(1), skip: 0, every: 1 }
    }

    /// Meets only this kind of request.
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Meets only requests for this object.
    pub fn object(mut self, name: impl Into<String>) -> Self {
        self.object = Some(name.into());
        self
    }

    /// Fires in the body, when so many of its bytes have been sent; 0 is after the head.
    pub fn after_bytes(mut self, bytes: u64) -> Self {
        self.after_bytes = Some(bytes);
        self
    }

    /// Fires so many times.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Fires for ever.
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Lets so many matching requests pass first.
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Fires on every n-th matching request only.
    pub fn every(mut self, n: u64) -> Self {
        self.every = n.max(1);
        self
    }
}

/// One action with its place.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// What.
    pub(super) action: Action,
    /// After how many bytes of the body; `None`: before the head.
    pub(super) after_bytes: Option<u64>,
}

/// The faults that wait for requests.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<Vec<(Fault, u64)>>);

impl Script {
    /// Adds a fault.
    pub(super) fn add(&self, fault: Fault) {
        locked(&self.0).push((fault, 0));
    }

    /// Drops all faults.
    pub(super) fn clear(&self) {
        locked(&self.0).clear();
    }

    /// What happens to a request; counts it against the faults that it matches. Several may meet one request.
    pub(super) fn meet(&self, operation: Operation, object: Option<&str>) -> Vec<Planned> {
        let mut faults = locked(&self.0);
        let mut plan = Vec::new();
        faults.retain_mut(|(fault, seen)| {
            let meets = fault.operation.is_none_or(|wanted| wanted == operation)
                && fault.object.as_deref().is_none_or(|wanted| Some(wanted) == object);
            if !meets {
                return true;
            }
            *seen += 1;
            let turn = seen.saturating_sub(fault.skip);
            if turn == 0 || turn % fault.every != 0 {
                return true;
            }
            plan.push(Planned { action: fault.action.clone(), after_bytes: fault.after_bytes });
            fault.times.is_none_or(|times| turn / fault.every < times)
        });
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_meet_the_requests_they_describe() {
        let script = Script::default();
        script.add(Fault::new(Action::Reset).on(Operation::Media).object("a").skip(1).every(2).times(2));
        let fired: Vec<bool> = (0..7).map(|_| !script.meet(Operation::Media, Some("a")).is_empty()).collect();
        assert_eq!(fired, [false, false, true, false, true, false, false]);
        script.add(Fault::new(Action::Reset).object("a"));
        assert!(script.meet(Operation::Media, Some("b")).is_empty());
        assert_eq!(script.meet(Operation::List, Some("a")).len(), 1);
        assert!(script.meet(Operation::List, Some("a")).is_empty());
    }
}
