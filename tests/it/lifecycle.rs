//! How the process begins to end, ends, and changes while it runs.

mod certificate;
mod descriptors;
mod reload;
mod signals;
