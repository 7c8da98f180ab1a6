//! `gsgate check`: break it as the guides say, and the cause and the cure are named; mend it, and all rows are green.

mod bucket;
mod credential;
mod network;
mod output;
mod rig;
