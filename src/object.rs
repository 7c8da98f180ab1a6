//! The vocabulary: bucket, object name, generation, range, metadata.
//!
//! Types here say what a value *is* and refuse what it cannot be; they do no I/O and know neither HTTP servers nor credentials.
//! Follows <https://cloud.google.com/storage/docs/objects> and <https://cloud.google.com/storage/docs/buckets>.

pub mod limit;

mod decimal;
mod media_type;
mod metadata;
mod moment;
mod name;
mod range;
mod texts;
mod value;

pub use decimal::decimal;
pub use media_type::{MediaType, is_active};
pub use metadata::{Crc32c, Generation, Metadata, Metageneration};
pub use moment::Moment;
pub use name::{BucketName, GsUri, NameError, ObjectName, ObjectPrefix, ProjectId, RESERVED};
pub use range::{ByteRange, ContentRange, Span};
pub use texts::{CommonTexts, Text, Texts, Told};
