//! The demo's objects: what lies in the bucket, and under which name.
//!
//! The names are chosen to hurt: spaces, `#`, `?`, `+`, `%`, umlauts, emoji, `//` and a literal `%2F`.
//! How the files were made is told in `media/README.md`.

/// One object of the demo bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The object's exact name, not encoded in any way.
    pub name: &'static str,
    /// The stored `Content-Type`.
    pub content_type: &'static str,
    /// The stored `Content-Encoding`.
    pub content_encoding: Option<&'static str>,
    /// The bytes as stored.
    pub bytes: &'static [u8],
}

/// All objects of the demo bucket.
pub const SAMPLES: &[Sample] = &[
    plain("images/crossing.jpg", JPEG, include_bytes!("media/crossing.jpg")),
    plain("images/morning walk.jpg", JPEG, include_bytes!("media/walk.jpg")),
    plain("images/lot #7.jpg", JPEG, include_bytes!("media/lot.jpg")),
    plain("images/what is this?.png", PNG, include_bytes!("media/question.png")),
    plain("images/a+b.png", PNG, include_bytes!("media/plus.png")),
    plain("images/100%.jpg", JPEG, include_bytes!("media/percent.jpg")),
    plain("images/50%2F50.png", PNG, include_bytes!("media/slash.png")),
    plain("images/Straßenbahn über Köln.jpg", JPEG, include_bytes!("media/tram.jpg")),
    plain("images/🚦 green.jpg", JPEG, include_bytes!("media/light.jpg")),
    plain("images//double slash.jpg", JPEG, include_bytes!("media/double.jpg")),
    plain("images/春 'spring' & *.png", PNG, include_bytes!("media/spring.png")),
    plain("images/night.jpg", JPEG, include_bytes!("media/night.jpg")),
    plain("sound/tune.wav", "audio/wav", include_bytes!("media/tune.wav")),
    plain("video/a drive.mp4", "video/mp4", include_bytes!("media/drive.mp4")),
    plain("documents/sheet.pdf", "application/pdf", include_bytes!("media/sheet.pdf")),
    plain("documents/Notizen für später.txt", "text/plain; charset=utf-8", include_bytes!("media/notes.txt")),
    plain("documents/script.svg", "image/svg+xml", include_bytes!("media/script.svg")),
    Sample {
        name: "documents/boxes.json",
        content_type: "application/json",
        content_encoding: Some("gzip"),
        bytes: include_bytes!("media/boxes.json.gz"),
    },
];

const JPEG: &str = "image/jpeg";
const PNG: &str = "image/png";

const fn plain(name: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Sample {
    Sample { name, content_type, content_encoding: None, bytes }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn samples_are_small_and_have_names_of_their_own() {
        let names: HashSet<_> = SAMPLES.iter().map(|sample| sample.name).collect();
        assert_eq!(names.len(), SAMPLES.len());
        assert!(SAMPLES.iter().map(|sample| sample.bytes.len()).sum::<usize>() < 600_000);
    }

    #[test]
    fn the_index_of_the_video_stands_after_its_frames() {
        let video = SAMPLES.iter().find(|sample| sample.content_type == "video/mp4").expect("there is a video");
        let place = |mark: &[u8]| video.bytes.windows(4).position(|window| window == mark);
        assert!(place(b"mdat") < place(b"moov"));
    }
}
