//! The gateway as the Cloud Storage that Label Studio's own client talks to.

mod api;
mod confined;
mod google;
mod hostile;
mod key;
mod rig;
mod signed;
mod tokens;
mod uploads;
