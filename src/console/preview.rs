//! One object as the gallery shows it: its URL, its kind, and how the gateway would deliver it.
//!
//! Pure. The decision is the gateway's own, [`decide`]: once for a plain element such as `<img>`, once for a script.

use serde::Serialize;

use super::objects::updated;
use crate::gateway::connection::Connection;
use crate::gateway::decide::{self, Circumstances, Decision, RequestMode, Verdict};
use crate::gateway::headers::content_type;
use crate::gcs::Listed;
use crate::object::{Crc32c, Metadata, Moment, ObjectName, Texts, Told};
use crate::tasks::{Cover, DataType};

#[derive(Serialize)]
pub(super) struct Preview {
    name: String,
    size: u64,
    /// As the gateway serves it.
    content_type: String,
    /// `image`, `video`, `audio`, `document`, `text` or `other`.
    kind: &'static str,
    updated: Option<String>,
    /// The gateway's URL.
    url: String,
    /// What a plain element gets.
    delivery: Delivered,
    /// What a script, or an element in CORS mode, gets.
    delivery_to_scripts: Delivered,
}

#[derive(Serialize)]
struct Delivered {
    /// `proxy` or `signed-url`.
    by: &'static str,
    reason: &'static str,
}

impl Preview {
    /// `None` if the connection has no URL for the object.
    pub(super) fn of(connection: &Connection, cover: &Cover, (name, listed): (&ObjectName, &Listed)) -> Option<Self> {
        let delivered = |mode| Delivered::of(decision(connection, mode, listed.size));
        Some(Self {
            name: listed.name.clone(),
            size: listed.size,
            content_type: content_type(name, &metadata(listed)).as_str().to_owned(),
            kind: kind(listed),
            updated: updated(listed),
            url: cover.link(&connection.label, name)?,
            delivery: delivered(RequestMode::Other),
            delivery_to_scripts: delivered(RequestMode::Cors),
        })
    }
}

impl Delivered {
    fn of(decision: Decision) -> Self {
        Self { by: decision.delivery(), reason: decision.reason().as_str() }
    }
}

fn decision(connection: &Connection, mode: RequestMode, size: u64) -> Decision {
    let circumstances = Circumstances {
        delivery: connection.config.delivery,
        signing: connection.signing(),
        mode,
        audience: connection.audience(),
    };
    match decide::decide(circumstances) {
        Verdict::Final(decision) => decision,
        Verdict::DependsOnSize => decide::by_size(size, connection.config.redirect_above.as_u64()),
    }
}

fn kind(listed: &Listed) -> &'static str {
    match DataType::of(&listed.name, listed.content_type.as_deref()) {
        Some(DataType::Image) => "image",
        Some(DataType::Video) => "video",
        Some(DataType::Audio) => "audio",
        Some(DataType::Document) => "document",
        Some(DataType::Text) => "text",
        None => "other",
    }
}

/// What the listing tells of it, as far as the type depends on it.
fn metadata(listed: &Listed) -> Metadata {
    Metadata {
        generation: listed.generation,
        metageneration: listed.metageneration,
        size: listed.size,
        texts: Texts::new(Told {
            content_type: listed.content_type.as_ref().map_or(&[][..], String::as_bytes),
            content_encoding: listed.content_encoding.as_ref().map_or(&[][..], String::as_bytes),
            ..Told::default()
        }),
        last_modified: listed.updated.and_then(Moment::of),
        crc32c: listed.crc32c.map(Crc32c::from),
        md5: listed.md5,
    }
}
