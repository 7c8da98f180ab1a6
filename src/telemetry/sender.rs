//! What a request's head says of its sender: the request's id, the trace that it is part of, the client's name for itself.
//!
//! Found in one walk over the fields, since a look for each by its name costs more than all of that.

use http::{HeaderMap, HeaderValue};

use crate::telemetry::{RequestId, Trace};

/// The fields of a head that tell of its sender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sender<'h> {
    request_id: Field<'h>,
    trace_parent: Field<'h>,
    cloud_trace: Field<'h>,
    user_agent: Option<&'h HeaderValue>,
}

/// A field that says nothing if it is sent twice.
#[derive(Clone, Copy, Debug, Default)]
enum Field<'h> {
    #[default]
    Absent,
    Once(&'h HeaderValue),
    Repeated,
}

impl<'h> Sender<'h> {
    /// Whom these fields tell of.
    pub fn of(headers: &'h HeaderMap) -> Self {
        let mut sender = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "user-agent" => _ = sender.user_agent.get_or_insert(value),
                "traceparent" => sender.trace_parent.add(value),
                "x-request-id" => sender.request_id.add(value),
                "x-cloud-trace-context" => sender.cloud_trace.add(value),
                _ => {}
            }
        }
        sender
    }

    /// The id sent, where there is exactly one and it is good, else a fresh one each time.
    pub fn request_id(&self) -> RequestId {
        let sent = self.request_id.value().and_then(|value| RequestId::parse(value.as_bytes()));
        sent.unwrap_or_else(RequestId::random)
    }

    /// What `traceparent` says, or else `X-Cloud-Trace-Context`.
    pub fn trace(&self) -> Option<Trace> {
        let parent = self.trace_parent.value().and_then(|value| Trace::from_traceparent(value.to_str().ok()?));
        parent.or_else(|| self.cloud_trace.value().and_then(|value| Trace::from_cloud(value.to_str().ok()?)))
    }

    /// The client's own name for itself, whatever it is written in.
    pub fn user_agent(&self) -> Option<String> {
        let agent = self.user_agent?.as_bytes();
        // What replaces bytes looks at each; most names need none replaced.
        Some(str::from_utf8(agent).map_or_else(|_| String::from_utf8_lossy(agent).into_owned(), str::to_owned))
    }
}

impl<'h> Field<'h> {
    fn add(&mut self, value: &'h HeaderValue) {
        *self = if matches!(self, Self::Absent) { Self::Once(value) } else { Self::Repeated };
    }

    fn value(self) -> Option<&'h HeaderValue> {
        if let Self::Once(value) = self { Some(value) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const OTHER_TRACE: &str = "105445aa7843bc8bf206b12000100000";

    fn headers(fields: &[(&str, &[u8])]) -> HeaderMap {
        let field = |(name, value): &(&str, &[u8])| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap())
        };
        // Collecting would replace what is sent twice.
        fields.iter().map(field).fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    }

    #[test]
    fn a_repeated_request_id_is_replaced() {
        let once = headers(&[("Host", b"h"), ("X-Request-Id", b"one"), ("Accept", b"*/*")]);
        assert_eq!(Sender::of(&once).request_id().as_str(), "one");
        for bad in [&[("x-request-id", &b"one"[..]), ("x-request-id", b"two")][..], &[("x-request-id", b"a b")], &[]] {
            assert_eq!(Sender::of(&headers(bad)).request_id().as_str().len(), 32, "{bad:?}");
        }
    }

    #[test]
    fn the_trace_is_that_of_the_standard_or_else_that_of_the_cloud() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let (parent, cloud) = (("traceparent", parent.as_bytes()), ("x-cloud-trace-context", OTHER_TRACE.as_bytes()));
        for (fields, expected) in [
            (&[parent, cloud][..], Some(TRACE)),
            (&[cloud, parent], Some(TRACE)),
            (&[cloud], Some(OTHER_TRACE)),
            (&[parent, parent, cloud], Some(OTHER_TRACE)),
            (&[("traceparent", b"00"), cloud], Some(OTHER_TRACE)),
            (&[cloud, cloud], None),
            (&[], None),
        ] {
            let headers = headers(fields);
            let trace = Sender::of(&headers).trace();
            assert_eq!(trace.as_ref().map(Trace::trace_id), expected, "{fields:?}");
        }
    }

    #[test]
    fn the_first_name_of_the_client_counts_and_is_made_readable() {
        for (sent, expected) in
            [(&b"curl/8"[..], "curl/8"), ("é".as_bytes(), "é"), (b"a\xffb", "a\u{fffd}b"), (b"", "")]
        {
            let headers = headers(&[("user-agent", sent), ("user-agent", b"another")]);
            assert_eq!(Sender::of(&headers).user_agent().as_deref(), Some(expected));
        }
        assert_eq!(Sender::of(&HeaderMap::new()).user_agent(), None);
    }
}
