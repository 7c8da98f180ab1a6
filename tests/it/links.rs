//! Links, over the wire: what admits, what does not, and what anybody learns of it.

mod cli;
mod keys;
mod modes;
mod revocation;
mod rig;
mod secrecy;
mod tampering;
mod tree;
