//! What is kept in memory so that GCS and IAM are asked less often.
//!
//! Every cache is bounded, has one loader a key, and decides by a given time what has expired.

pub mod signed_urls;
