//! With the real Label Studio and, for what its users see, headless Chromium signed in to it.

mod faults;
mod front;
mod links;
mod stage;
mod storage;
mod timing;
mod urls;
