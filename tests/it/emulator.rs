//! The embedded GCS, seen from the wire: everything here goes over a real socket, byte by byte.

mod auth;
mod faults;
mod read;
mod signed;
mod wire;
