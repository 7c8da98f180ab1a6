//! The texts that are stored with objects, such as their types.
//!
//! Objects of one kind have the same ones, so that one set serves them all. Decides what is shared, and with that how
//! much of the memory that an object's texts take is its own.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;

use super::media_type::MediaType;
use super::value::value;

/// So many sets are shared at most.
const MOST: usize = 64;
/// A set with longer texts is hardly that of many objects.
const LONGEST: usize = 512;
/// What a text takes besides its bytes.
const OVERHEAD: usize = 24;

/// What GCS tells of an object in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told<T> {
    /// `Content-Type`.
    pub content_type: T,
    /// `Content-Encoding`.
    pub content_encoding: T,
    /// `Content-Language`.
    pub content_language: T,
    /// `Content-Disposition`.
    pub content_disposition: T,
    /// `Cache-Control` as stored with the object or as GCS answers.
    pub cache_control: T,
}

impl<T> Told<T> {
    fn into_all(self) -> [T; 5] {
        let Self { content_type, content_encoding, content_language, content_disposition, cache_control } = self;
        [content_type, content_encoding, content_language, content_disposition, cache_control]
    }

    fn map<U>(self, change: impl FnMut(T) -> U) -> Told<U> {
        let [content_type, content_encoding, content_language, content_disposition, cache_control] =
            self.into_all().map(change);
        Told { content_type, content_encoding, content_language, content_disposition, cache_control }
    }

    fn as_ref(&self) -> Told<&T> {
        let Self { content_type, content_encoding, content_language, content_disposition, cache_control } = self;
        Told { content_type, content_encoding, content_language, content_disposition, cache_control }
    }
}

impl Told<&[u8]> {
    /// Whether many objects may have these: a disposition with a parameter names the file of one.
    fn may_be_common(self) -> bool {
        let length: usize = self.into_all().into_iter().map(<[u8]>::len).sum();
        // What is not UTF-8 is not kept as it came, and would never be found again.
        let is_readable = self.into_all().into_iter().all(|text| std::str::from_utf8(text).is_ok());
        length <= LONGEST && is_readable && !self.content_disposition.contains(&b'=')
    }
}

/// One text as GCS sent it, if it was UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Legal(HeaderValue),
    /// With control characters.
    Odd(Box<str>),
}

impl Text {
    /// An empty text is none.
    fn new(told: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(told);
        let form = value(&text).map_or_else(|| Form::Odd((*text).into()), Form::Legal);
        (!text.is_empty()).then_some(Self(form))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // What `new` took is UTF-8.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text as a header's value, ready to be sent; `None` if it cannot be one.
    pub fn as_value(&self) -> Option<&HeaderValue> {
        match &self.0 {
            Form::Legal(value) => Some(value),
            Form::Odd(_) => None,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Legal(value) => value.as_bytes(),
            Form::Odd(text) => text.as_bytes(),
        }
    }
}

/// The texts of an object. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Texts(Arc<Set>);

#[derive(Debug)]
struct Set {
    told: Told<Option<Text>>,
    media_type: Option<MediaType>,
    is_gzip: bool,
    forbids_storing: bool,
    is_common: bool,
}

impl Texts {
    /// Texts that no other object shares; empty ones are none.
    pub fn new(told: Told<&[u8]>) -> Self {
        Self::read(told, false)
    }

    fn read(told: Told<&[u8]>, is_common: bool) -> Self {
        let told = told.map(Text::new);
        let Told { content_type, content_encoding, cache_control, .. } =
            told.as_ref().map(|text| text.as_ref().map_or("", Text::as_str));
        let media_type = MediaType::read(content_type);
        let is_gzip = content_encoding.trim().eq_ignore_ascii_case("gzip");
        let mut directives = cache_control.split(',').map(str::trim);
        let forbids_storing = directives.any(|directive| directive.eq_ignore_ascii_case("no-store"));
        Self(Arc::new(Set { told, media_type, is_gzip, forbids_storing, is_common }))
    }

    /// Whether these are the same.
    fn are(&self, told: Told<&[u8]>) -> bool {
        let own = self.as_ref().map(|text| text.as_ref().map_or(&[][..], Text::as_bytes));
        own == told
    }

    /// The type, if it says anything.
    pub fn media_type(&self) -> Option<&MediaType> {
        self.0.media_type.as_ref()
    }

    /// Whether `Content-Encoding` is gzip.
    pub(super) fn is_gzip(&self) -> bool {
        self.0.is_gzip
    }

    /// Whether `Cache-Control` has `no-store`.
    pub(super) fn forbids_storing(&self) -> bool {
        self.0.forbids_storing
    }

    /// The memory that they take, in bytes; nothing if they are shared.
    pub fn weight(&self) -> usize {
        let texts = self.as_ref().into_all().into_iter().flatten();
        let media_type = self.media_type().map_or(0, |known| OVERHEAD + known.as_str().len());
        let own = media_type + texts.map(|text| OVERHEAD + text.as_bytes().len()).sum::<usize>();
        if self.0.is_common { 0 } else { size_of::<Set>() + own }
    }
}

impl Deref for Texts {
    type Target = Told<Option<Text>>;

    fn deref(&self) -> &Self::Target {
        &self.0.told
    }
}

impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || **self == **other
    }
}

impl Eq for Texts {}

/// The sets that objects share. Bounded, so that no bucket can make it grow.
#[derive(Debug, Default)]
pub struct CommonTexts(Mutex<Vec<Texts>>);

impl CommonTexts {
    /// An object's texts, shared if others may have them as well.
    pub fn share(&self, told: Told<&[u8]>) -> Texts {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = known.iter().position(|texts| texts.are(told)) {
            // What was asked for last is found first.
            known.swap(0, place);
            return known.first().cloned().unwrap_or_else(|| Texts::new(told));
        }
        if !told.may_be_common() {
            return Texts::new(told);
        }
        if known.len() >= MOST {
            known.retain(|texts| Arc::strong_count(&texts.0) > 1);
        }
        // Those in use stay, so that all that are shared are here, and there are few.
        if known.len() >= MOST {
            return Texts::new(told);
        }
        let texts = Texts::read(told, true);
        known.push(texts.clone());
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<'a>(content_type: &'a str, content_disposition: &'a str) -> Told<&'a [u8]> {
        let (content_type, content_disposition) = (content_type.as_bytes(), content_disposition.as_bytes());
        Told { content_type, content_disposition, ..Told::default() }
    }

    #[test]
    fn texts_are_kept_as_they_were_told() {
        for (bytes, text, value) in [
            (&b"image/png"[..], Some("image/png"), true),
            (b"", None, false),
            ("ü".as_bytes(), Some("ü"), true),
            (b"a\xffb", Some("a\u{fffd}b"), true),
            (b"a\nb", Some("a\nb"), false),
        ] {
            let texts = Texts::new(Told { content_language: bytes, ..Told::default() });
            assert_eq!(texts.content_language.as_ref().map(Text::as_str), text);
            assert_eq!(texts.content_language.as_ref().and_then(Text::as_value).is_some(), value, "{text:?}");
            assert_eq!(texts.content_type, None);
        }
    }

    #[test]
    fn objects_of_one_kind_share_their_texts() {
        let common = CommonTexts::default();
        let png = common.share(told("image/png", "attachment"));
        let jpeg = common.share(told("image/jpeg", "attachment"));
        let again = common.share(told("image/png", "attachment"));
        assert!(Arc::ptr_eq(&png.0, &again.0) && png == again && png != jpeg);
        assert_eq!(png.weight(), 0);
        assert_eq!(png, Texts::new(told("image/png", "attachment")), "whether they are shared makes no difference");
    }

    #[test]
    fn what_one_object_alone_has_is_not_shared() {
        let common = CommonTexts::default();
        let long = "x".repeat(LONGEST);
        let unreadable = Told { content_language: &b"a\xff"[..], ..Told::default() };
        for told in [told("image/png", "inline; filename=a.png"), told(&long, "y"), unreadable] {
            let (one, other) = (common.share(told), common.share(told));
            assert!(!Arc::ptr_eq(&one.0, &other.0) && one == other);
            assert!(one.weight() > told.content_type.len() + told.content_disposition.len());
        }
    }

    #[test]
    fn few_sets_are_shared_and_unused_ones_make_room() {
        let common = CommonTexts::default();
        let kinds: Vec<String> = (0..=MOST).map(|number| format!("x/{number}")).collect();
        let mut held: Vec<Texts> = kinds.iter().map(|kind| common.share(told(kind, ""))).collect();
        let own = held.pop().map(|texts| texts.weight() > 0);
        assert_eq!(own, Some(true), "there is no room while all are in use");
        assert!(held.iter().all(|texts| texts.weight() == 0));
        held.pop();
        assert_eq!(common.share(told("x/new", "")).weight(), 0);
    }
}
