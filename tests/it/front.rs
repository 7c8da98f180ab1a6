//! In front of something that answers like Label Studio, and can do what the real one does not: tell what it was sent.

mod backend;
mod media;
mod passing;
mod secure;
mod told;
mod upgrade;
