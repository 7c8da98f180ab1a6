//! gsgate: the gateway between annotation UIs and private Google Cloud Storage buckets.
//!
//! Rooms, each of which may use only those to its right:
//! `cli → demo → app → console → tasks → check → config → label_studio → server → gateway → cache → gcs → object`.
//! `metrics`, `telemetry` and `audit` are leaves that any room may use; `emulator` is a GCS of its own for the demo and the tests.

pub mod app;
pub mod audit;
pub mod cache;
pub mod check;
pub mod cli;
pub mod config;
pub mod console;
pub mod demo;
pub mod emulator;
pub mod gateway;
pub mod gcs;
pub mod label_studio;
pub mod metrics;
pub mod object;
pub mod server;
pub mod tasks;
pub mod telemetry;
