//! Hands each event's line to the writer, whole.
//!
//! The library's own layer would copy a line once more on its way there, and looks for spans, of which there are none.

use std::io::Write;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;

use crate::telemetry::Formatter;

/// Where events go, and in which form.
#[derive(Debug)]
pub(super) struct Output<W> {
    formatter: Formatter,
    writer: W,
}

impl<W> Output<W> {
    pub(super) fn new(formatter: Formatter, writer: W) -> Self {
        Self { formatter, writer }
    }
}

impl<S, W> Layer<S> for Output<W>
where
    S: Subscriber,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = self.formatter.line(event);
        // There is no other place to say that a line cannot be written.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(line.as_bytes());
    }
}
