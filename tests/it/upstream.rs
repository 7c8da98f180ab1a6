//! What GCS sees of us and what we make of its answers and its faults.

mod heal;
mod refuse;
mod rig;
mod send;
mod write;
